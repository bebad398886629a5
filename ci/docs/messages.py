"""Checks that docs/troubleshooting.md has an entry for every message that a user can meet: each error, each line of `check`, and
each warning in the log.

The messages are read from the source: the texts of the library and the server, but those that only tell what goes well (log lines
at info and below), that programs read, or that tests and panics have. An entry is the first column of a table; in it each code
span is a message, with `…` for what differs. Entries for messages that are nowhere in the source are wrong, too.

    messages.py [--list]      prints the messages of the source
"""

import re
import sys
from pathlib import Path

import pages

ENTRIES = pages.ROOT / "docs" / "troubleshooting.md"
CRATES = [pages.ROOT / "crates" / name / "src" for name in ("token-provider", "token-provider-server")]

# Texts that are no messages: for programs, for pages, or the rest of a sentence that is said elsewhere.
NO_MESSAGES_IN = {
    "cli.rs",  # help
    "rule.rs",  # for tests
    "fuzzing.rs",
    "sign.rs",  # the Authorization header
    "http/admin/metrics.rs",  # what metrics mean
    "http/admin/remedy.rs",  # the status page says what to do by itself
    "http/admin/status.rs",
    "http/page.rs",
    "setup/summary.rs",  # who may ask, in the log
    "telemetry/audit/line.rs",
    "telemetry/exposition.rs",
    "telemetry/process.rs",
}
# What encloses a text that nobody meets, or that tells what goes well. `expect` is also the attribute with its reason.
QUIET = {"expect", "allow", "assert!", "debug_assert!", "unreachable!", "tracing::info!", "tracing::debug!", "tracing::trace!", "cfg_attr"}

# Header values: media types, challenges, policies, lists of headers.
HEADER = re.compile(r"charset=|realm=|default-src|traceparent")

TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | r(?P<hashes>\#*)"(?P<raw>.*?)"(?P=hashes)
      | "(?P<text>(?:[^"\\]|\\.)*)"
      | (?P<char>b?'(?:[^'\\]|\\(?:.|x..|u\{\w+\}))')
      | (?P<open>[(\[{]) | (?P<close>[)\]}])""",
    re.VERBOSE | re.DOTALL,
)


def messages() -> dict[str, str]:
    """Every message, with `…` for each placeholder, and the place of one of its uses."""
    found: dict[str, str] = {}
    for crate in CRATES:
        for path in sorted(crate.rglob("*.rs")):
            name = path.relative_to(crate).as_posix()
            if name not in NO_MESSAGES_IN and "tests" not in Path(name).with_suffix("").parts:
                for text, line in texts(path.read_text(encoding="utf-8")):
                    found.setdefault(text, f"{path.relative_to(pages.ROOT)}:{line}")
    return found


def texts(source: str):
    """The sentences among a file's string literals."""
    source = source.split("#[cfg(test)]\nmod tests")[0]
    enclosing: list[str] = []
    for token in TOKEN.finditer(source):
        if token["open"]:
            before = re.search(r"([\w:]+!?)\s*$", source[max(0, token.start() - 80) : token.start()])
            enclosing.append(before[1] if before else "")
        elif token["close"] and enclosing:
            enclosing.pop()
        text = token["text"] if token["raw"] is None else token["raw"]
        if text is None or token["char"] or not QUIET.isdisjoint(enclosing):
            continue
        text = re.sub(r"\\\n\s*", "", text).replace('\\"', '"').replace("\\n", "\n").strip()
        text = re.sub(r"(?<!\{)\{[^{}]*\}(?!\})", "…", text)
        if is_sentence(text):
            yield text, source.count("\n", 0, token.start()) + 1


def is_sentence(text: str) -> bool:
    """Two words at least, on one line."""
    words = re.findall(r"\b[a-z]{2,}\b", text)
    return len(words) >= 2 and " " in text and "\n" not in text and not HEADER.search(text)


def entries() -> dict[str, int]:
    """The messages that the page has entries for, with their lines."""
    found: dict[str, int] = {}
    in_table = False
    for number, line in enumerate(ENTRIES.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|"):
            in_table = False
            continue
        first = re.split(r"(?<!\\)\|", line)[1]
        if not in_table:
            in_table = True
            continue
        # A span with backticks in it has two around it.
        for double, single in re.findall(r"``\s?(.+?)\s?``|`([^`]+)`", first):
            found[(double or single).replace("\\|", "|")] = number
    return found


def covers(entry: str, message: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in entry.split("…")), message) is not None


def main(arguments: list[str]) -> int:
    known = messages()
    if arguments == ["--list"]:
        print(*(f"{place}: {text}" for text, place in known.items()), sep="\n")
        return 0
    listed = entries()
    page = ENTRIES.relative_to(pages.ROOT)
    problems = [
        f"{place}: {page} has no entry for: {text}"
        for text, place in known.items()
        if not any(covers(entry, text) for entry in listed)
    ]
    problems += [
        f"{page}:{line}: no message reads: {entry}"
        for entry, line in listed.items()
        if not any(covers(entry, text) for text in known)
    ]
    for problem in problems:
        print(problem)
    print(f"messages: {len(known)} in the source, {len(listed)} entries, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
