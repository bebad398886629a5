"""Compares docs/configuration.md with the program: every key of the configuration file, every variable and every option is
there, and nothing that does not exist; and no page names a variable, or gives the command an option, that does not exist.

What there is comes from the program itself: for a key that it does not know, it says which ones it does.

In docs/configuration.md a table lists keys, variables or options when its first column is headed so. Keys belong to the
sections that the heading above names in brackets: `[tls]`, `[[access.api_keys]]`.
"""

import itertools
import json
import re
import sys

import pages
import program

REFERENCE = pages.ROOT / "docs" / "configuration.md"
# A key that nothing resembles.
UNKNOWN = "zzzzqqqq"
# Of the program, and of the library's search for a credential.
SOURCES = [pages.ROOT / "crates" / path for path in ("token-provider-server/src", "token-provider/src/credential")]
# Read by the HTTP client and by sd-listen-fds, and not by this program's own code.
VARIABLES_OF_OTHERS = {"HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "LISTEN_PID", "LISTEN_FDNAMES"}
# In the documentation, and no setting: the form of a name, what `token --format env` prints, what clients keep their key in, and
# examples of mistakes.
NOT_SETTINGS = {
    "TOKEN_PROVIDER_SECTION__KEY",
    "HERE_ACCESS_TOKEN",
    "TOKEN_PROVIDER_KEY",
    "TOKEN_PROVIDER_LISTN",
    "TOKEN_PROVIDER_LOG_LEVEL",
}


def known_keys() -> set[str]:
    """Every key of the configuration file, with its path; a name of the user's own is NAME in it."""
    sections: dict[str, list[str]] = {}
    forms = {
        "{}": lambda: {UNKNOWN: 1},
        "{}[0]": lambda: [{UNKNOWN: 1}],
        f"{{}}.{UNKNOWN}": lambda: {UNKNOWN: {UNKNOWN: 1}},
    }
    found = asked({UNKNOWN: 1})
    while found:
        sections |= found
        # Each section by itself: one that may be a table or a list of tables cannot be both at once.
        candidates = [[f"{section}.{key}".strip(".") for key in keys] for section, keys in found.items()]
        found = {}
        for (form, value), paths in itertools.product(forms.items(), candidates):
            tree: dict = {}
            for path in paths:
                put(tree, path, value())
            wanted = {form.format(path) for path in paths}
            found |= {section: keys for section, keys in asked(tree).items() if section in wanted}
    paths = {f"{section}.{key}".strip(".") for section, keys in sections.items() for key in keys}
    tables = {re.sub(rf"(\[0\]|\.{UNKNOWN})$", "", section) for section in sections}
    return {path.replace("[0]", "").replace(UNKNOWN, "NAME") for path in paths - tables}


def put(tree: dict, path: str, value) -> None:
    *parents, last = path.split(".")
    for name in parents:
        if name.endswith("[0]"):
            tree = tree.setdefault(name.removesuffix("[0]"), [{}])[0]
        else:
            tree = tree.setdefault(name, {})
    tree[last] = value


def asked(tree: dict) -> dict[str, list[str]]:
    """Has the program read a configuration, and returns the keys of each section in which it met an unknown one."""
    found = {}
    for problem in program.problems("\n".join(f"{key} = {inline(value)}" for key, value in tree.items())):
        if match := re.search(rf": (\S*?)\.?{UNKNOWN}: unknown key; expected one of: (.+)", problem):
            found[match[1]] = match[2].split(", ")
    return found


def inline(value) -> str:
    """A value as TOML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)


def known_variables() -> set[str]:
    """Every variable that is looked at but is no setting: what stands in the source as the name of one."""
    files = (path for source in SOURCES for path in source.rglob("*.rs") if "tests" not in (path.stem, *path.relative_to(source).parts))
    texts = (path.read_text(encoding="utf-8").split("#[cfg(test)]")[0] for path in files)
    names = {name for text in texts for name in re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|HOME|USERPROFILE)"', text)}
    return names - {"CARGO_PKG_VERSION"} | VARIABLES_OF_OTHERS


def known_commands(path: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str]]:
    """Every command with its options."""
    help_text = program.run(*path, "--help")
    options = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", help_text, flags=re.M)) | set(re.findall(r"^ +(-\w)\b", help_text, flags=re.M))
    commands = {path: options}
    if match := re.search(r"^Commands:\n((?: +.*\n)+)", help_text, flags=re.M):
        for name in re.findall(r"^  (\w[\w-]*)", match[1], flags=re.M):
            if name != "help":
                commands |= known_commands((*path, name))
    return commands


def listed(kind: str) -> set[str]:
    """What the tables of the reference list under this heading."""
    found: set[str] = set()
    sections, in_table = [""], False
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            sections = re.findall(r"`\[{1,2}([\w.]+)\]{1,2}`", line) or [""]
        if not line.startswith("|"):
            in_table = False
            continue
        first = re.split(r"(?<!\\)\|", line)[1].strip()
        if first == kind:
            in_table = True
        elif in_table:
            for name in re.findall(r"`([^`]+)`", first):
                found |= {f"{section}.{name}".strip(".") for section in sections} if kind == "key" else {name}
    return found


def compare(kind: str, there: set[str], are: set[str]) -> list[str]:
    name = REFERENCE.relative_to(pages.ROOT)
    missing = [f"{name}: has no row for the {kind} {each}" for each in sorted(are - there)]
    return missing + [f"{name}: the {kind} {each} does not exist" for each in sorted(there - are)]


def named_elsewhere(keys: set[str], variables: set[str], commands: dict[tuple[str, ...], set[str]]) -> list[str]:
    """Variables and options in all pages that do not exist."""
    settings = {"TOKEN_PROVIDER_" + key.replace(".", "__").upper() for key in keys}
    problems = []
    for page in pages.all_pages():
        if page.path.parts[len(pages.ROOT.parts)] in ("docs", "README.md"):
            text = page.path.read_text(encoding="utf-8")
            for name in sorted(set(re.findall(r"\b(?:TOKEN_PROVIDER|HERE)_[A-Z0-9_]+\b", text))):
                if name not in settings | variables | NOT_SETTINGS:
                    problems.append(f"{page.name}: the variable {name} does not exist")
        for fence in page.fences:
            if fence.info.split(" ")[0] in ("sh", "console"):
                text = fence.text.replace("\\\n", " ")
                for line in re.findall(r"(?:^|[$(|;&] ?|sudo )token-provider ([^|;&)#\n]*)", text, flags=re.M):
                    problems += wrong_options(f"{page.name}:{fence.line}", line.split(), commands)
    return problems


def wrong_options(where: str, words: list[str], commands: dict[tuple[str, ...], set[str]]) -> list[str]:
    path: tuple[str, ...] = ()
    for word in words:
        if (*path, word) in commands:
            path = (*path, word)
    options = (word.split("=")[0] for word in words if word.startswith("--"))
    return [f"{where}: {' '.join(path)} has no option {option}" for option in options if option not in commands[path]]


def main() -> int:
    keys, variables, commands = known_keys(), known_variables(), known_commands()
    # Every command has these, and whoever knows one command line knows them.
    options = {option for known in commands.values() for option in known} - {"--help", "--version", "-h", "-V"}
    names = {" ".join(path) for path in commands if path and not any(other[:-1] == path for other in commands)}
    problems = compare("key", listed("key"), keys)
    problems += compare("variable", listed("variable"), variables)
    problems += compare("option", listed("option"), options)
    problems += compare("command", {name.split(" --")[0].split(" SHELL")[0] for name in listed("command")}, names)
    problems += named_elsewhere(keys, variables, commands)
    for problem in problems:
        print(problem)
    print(f"reference: {len(keys)} keys, {len(variables)} variables, {len(options)} options, {len(names)} commands, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
