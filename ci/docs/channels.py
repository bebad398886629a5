"""Keeps what pages say about installing in step with where token-provider is published.

    channels.py             checks that pages have the pieces of channels.toml whose channels are published; that nothing else names a
                            channel which is not; and, for any choice of channels, that the pages would be right
    channels.py --write     puts those pieces into the pages
"""

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pages

sys.path.insert(0, str(pages.ROOT / "deploy"))

import metadata  # noqa: E402

TEXTS = Path(__file__).with_suffix(".toml")
BLOCK = re.compile(r"(<!-- channels: (\w+) -->\n).*?(<!-- /channels -->)", re.DOTALL)

_OURS = r"(?<![\w/.@-])token-provider(?:-client|-server)?(?![\w/.-])"
# What runs a package at once, unless the next word is another package.
_OTHERS = r"(?!(?: -\S+)* (?!token-provider)[@a-z][\w./@-]+)"
# How a channel is used, and a name of ours that somebody else could have there.
WORDS = {
    "npm": rf"\b(?:npx|bunx|pnpx)\b{_OTHERS}|\b(?:npm|pnpm|yarn|bun) (?:i|install|add|exec|dlx|create)\b[^`\n]*?{_OURS}",
    "pypi": rf"\b(?:uvx|pipx (?:run|install)|pipx(?! [a-z]))\b{_OTHERS}|\b(?:pip3?|uv|poetry)(?: tool| pip)? (?:install|add|run)\b[^`\n]*?{_OURS}",
    "crates.io": rf"\bcargo (?:install|add)\b(?![^`\n]*--(?:path|git))[^`\n]*?(?:{_OURS}|\bhere-sandbox\b)",
    "image": r"\bghcr\.io/",
    "releases": r"\bcargo binstall\b",
}
# What the installed packages and the program show, beside the pages.
SHOWN = ("crates/*/src/**/*", "deploy/npm/**/*", "deploy/pypi/*", "clients/typescript/src/**/*", "clients/typescript/package.json")


def pieces(name: str, published: tuple[str, ...]) -> str:
    """The text of a block."""
    shown = {*published, "checkout"} if published else {"checkout", "unpublished"}
    texts = tomllib.loads(TEXTS.read_text(encoding="utf-8"))
    released, _ = metadata.platforms()
    filled_in = {"{RELEASED}": metadata.in_words(released), "{IMAGE}": metadata.image(), "{VERSION}": metadata.server()["version"]}
    found = "\n".join(text for channel, text in texts[name].items() if channel in shown)
    return re.sub("|".join(filled_in), lambda match: filled_in[match[0]], found)


def turned(text: str, published: tuple[str, ...]) -> str:
    """A page, with its blocks as they are when these channels are published."""
    return BLOCK.sub(lambda match: match[1] + pieces(match[2], published) + match[3], text)


def words_of(text: str, channels: set[str]) -> list[tuple[int, str]]:
    """Where a text names one of these channels: the line, and what it says there."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        found += [(number, match[0]) for channel in sorted(channels) if (match := re.search(WORDS[channel], line))]
    return found


def shown_files() -> list[Path]:
    patterns = [f":(glob){pattern}" for pattern in SHOWN]
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=pages.ROOT, check=True, capture_output=True).stdout.decode()
    return [pages.ROOT / name for name in listed.split("\0") if name and Path(name).suffix not in (".gz", ".png", ".ico", ".woff2")]


def problems(published: tuple[str, ...]) -> list[str]:
    found = []
    unpublished = set(WORDS) - set(published)
    texts = {page.path: page.path.read_text(encoding="utf-8") for page in pages.all_pages()}
    for path, text in texts.items():
        if text != turned(text, published):
            found.append(f"{path.relative_to(pages.ROOT)}: not as the published channels have it: run ci/docs/channels.py --write")
    for path, text in (texts | {path: path.read_text(encoding="utf-8") for path in shown_files()}).items():
        for line, what in words_of(text, unpublished):
            found.append(f"{path.relative_to(pages.ROOT)}:{line}: “{what}” names a channel on which this is not published")
    # What is wrong whatever is published is told once.
    if not found:
        for count in range(len(WORDS) + 1):
            for channels in itertools.combinations(WORDS, count):
                found += wrong_when_turned(texts, channels)
    return found


def wrong_when_turned(texts: dict[Path, str], channels: tuple[str, ...]) -> list[str]:
    """What would be wrong with the pages if just these channels were published."""
    where = f"with {', '.join(channels) or 'nothing'} published"
    found = []
    for path, text in texts.items():
        name = path.relative_to(pages.ROOT)
        after = turned(text, channels)
        if turned(after, ()) != turned(text, ()):
            found.append(f"{name}: {where}, the change cannot be undone")
        found += [f"{name}:{line}: {where}, it says “{what}”" for line, what in words_of(after, set(WORDS) - set(channels))]
    # What somebody without Rust can use comes first.
    first = {"npm": "npx token-provider serve --sandbox", "pypi": "uvx token-provider serve --sandbox", "crates.io": "cargo install"}
    expected = [*(command for channel, command in first.items() if channel in channels), "cargo run --release"]
    for name in ("README.md", "docs/quick-start.md"):
        after = turned(texts[pages.ROOT / name], channels)
        places = [after.find(command) for command in expected]
        if -1 in places or places != sorted(places):
            found.append(f"{name}: {where}, the first steps are not {', '.join(expected)}, in this order")
    return found


def main(arguments: list[str]) -> int:
    published = tuple(metadata.release()["published"])
    if arguments == ["--write"]:
        for page in pages.all_pages():
            page.path.write_text(turned(page.path.read_text(encoding="utf-8"), published), encoding="utf-8")
        return 0
    found = problems(published)
    print("\n".join(found), end="\n" if found else "")
    print(f"channels: published on {', '.join(published) or 'none'}, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
