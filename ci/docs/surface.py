"""Lists what a crate offers to others: `surface.py RUSTDOC_JSON` writes one line for each public item, with its declaration.

rustdoc says what can be reached from outside and where it is declared; the declaration itself is read from the source.
"""

import json
import re
import sys
from pathlib import Path

crate = json.loads(Path(sys.argv[1]).read_text())
index = crate["index"]


def item(number):
    return index.get(str(number))


def declaration(entry):
    """The source text of an item, up to its body, without comments and attributes, on one line."""
    begin, end = entry["span"]["begin"], entry["span"]["end"]
    lines = Path(entry["span"]["filename"]).read_text().splitlines()[begin[0] - 1 : end[0]]
    lines[-1] = lines[-1][: end[1]] if len(lines) > 1 else lines[-1]
    lines[0] = lines[0][begin[1] - 1 :]
    text = " ".join(line.strip() for line in lines if not line.strip().startswith(("//", "#[")))
    is_value = next(iter(entry["inner"])) in ("constant", "assoc_const")
    text = text if is_value else re.split(r"\s*\{", text, maxsplit=1)[0]
    if "struct" in entry["inner"]:
        text = text.split("(")[0]  # private fields
    return re.sub(r"\( ", "(", re.sub(r",? \)", ")", re.sub(r"\s+", " ", text))).strip().rstrip(";,")


def surface(entry, path):
    kind, inner = next(iter(entry["inner"].items()))
    if kind == "module":
        for number in inner["items"]:
            yield from surface(item(number), path)
        return
    if kind == "use":
        target = item(inner["id"])
        if target is None:
            yield f"{path}::{inner['name']} = {inner['source']}"
        else:
            yield from surface(target, path)
        return
    name = f"{path}::{entry['name']}"
    attributes = " ".join("#[non_exhaustive]" for a in entry["attrs"] if "non_exhaustive" in str(a))
    yield f"{name}: {attributes} {declaration(entry)}".replace(":  ", ": ")
    if kind == "struct":
        members = inner["kind"].get("plain", {}).get("fields", []) if isinstance(inner["kind"], dict) else []
    else:
        members = inner.get("variants", []) + inner.get("items", []) if isinstance(inner, dict) else []
    if kind == "variant":
        members = inner["kind"]["struct"]["fields"] if isinstance(inner["kind"], dict) and "struct" in inner["kind"] else []
    for number in members:
        if item(number):
            yield from surface(item(number), name)
    for number in inner.get("impls", []) if isinstance(inner, dict) else []:
        block = item(number)
        if not block or block["inner"]["impl"]["is_synthetic"] or block["inner"]["impl"]["blanket_impl"]:
            continue
        trait = block["inner"]["impl"]["trait"]
        if trait and trait["path"] != "StructuralPartialEq":
            yield f"{name}: implements {trait['path']}"
        elif not trait:
            for method in block["inner"]["impl"]["items"]:
                yield from surface(item(method), name)


root = item(crate["root"])
print("\n".join(sorted(set(surface(root, root["name"])))))
