"""Runs the commands that the documentation shows.

Each Markdown file is a session of bash in a folder of its own, block after block, with

- `token-provider` (and `cargo run --release --`) as the program in TOKEN_PROVIDER_BIN, and a HOME that is empty;
- a `credentials.properties` for an offline HERE account, which stands for a downloaded one;
- the repository's files beside it.

A block of `sh` must run without an error. A block of `console` has commands after `$`, and below each what it prints: `…` in
a line stands for anything, a line `…` for any lines; commands there may fail, as that may be what is shown. A server is
started in the background, and replaces the one before it, as in a reader's terminal. Ports are exchanged for free ones.

What cannot run here says why, in the fence: ```sh needs network. The words are in NEEDS.

    commands.py [FILE.md …]      all files, or these
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pages

sys.path.insert(0, str(pages.ROOT / "interop/python"))

from command import free_port  # noqa: E402

# What a block can need that this machine may not have or must not do.
NEEDS = {"network", "root", "systemd", "docker", "kubernetes", "nginx", "haproxy", "prometheus", "HERE"}
SHELLS = {"sh", "bash", "shell", "console", "shell-session"}
MAX_SECONDS = 180

SHIMS = Path(__file__).resolve().parent / "shims"
ADDRESS = re.compile(r"\b(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]):(\d{4,5})\b")
# The shell function that tells where a session is.
WHERE = "docs_where"


def needs(fence: pages.Fence) -> set[str] | str:
    """The words after `needs` in a fence, or what is wrong with it."""
    language, _, rest = fence.info.partition(" ")
    if language not in ("sh", "console"):
        return f"the language is {language!r}: write sh, or console where output is shown"
    if not rest:
        return set()
    word, _, rest = rest.strip().partition(" ")
    found = {part.strip() for part in rest.split(",")}
    if word != "needs" or not found <= NEEDS:
        return f"after {language} there is {fence.info!r}: nothing, or `needs` with some of {', '.join(sorted(NEEDS))}"
    return found


class Session:
    """One page's commands."""

    def __init__(self, page: pages.Page, folder: Path):
        self.page = page
        self.work = folder / "work"
        self.state = folder / "state"
        self.ports: dict[str, str] = {}
        self.expected: list[tuple[int, str]] = []
        self.script: list[str] = []

    def add(self, fence: pages.Fence) -> None:
        text = self.with_free_ports(fence.text)
        self.script.append(f"{WHERE} {fence.line}")
        if not fence.info.startswith("console"):
            self.script.append(text)
            return
        for index, part in enumerate(re.split(r"^\$ ", text, flags=re.M)):
            if index == 0:
                continue
            lines = part.splitlines()
            end = 1
            while lines[end - 1].endswith("\\"):
                end += 1
            number = len(self.expected)
            self.expected.append((fence.line, "\n".join(lines[end:]).rstrip()))
            command = "\n".join(lines[:end])
            self.script.append(f"set +e\n{{ {command}\n}} >'{self.state}/out-{number}' 2>&1\nset -e")

    def with_free_ports(self, text: str) -> str:
        def free(match: re.Match[str]) -> str:
            host, port = match.groups()
            if port not in self.ports:
                self.ports[port] = str(free_port())
            return f"{host}:{self.ports[port]}"

        return ADDRESS.sub(free, text)

    def run(self) -> list[str]:
        """Runs all that was added, and returns what went wrong."""
        self.work.mkdir()
        self.state.mkdir()
        for entry in pages.ROOT.iterdir():
            if entry.name not in ("target", "credentials.properties", "token-provider.toml"):
                (self.work / entry.name).symlink_to(entry)
        prelude = [
            "set -euo pipefail",
            f'{WHERE}() {{ echo "$1" >"$DOCS_STATE/where"; }}',
            f'token-provider sandbox --listen {self.with_free_ports("127.0.0.1:8099")} --write-credentials credentials.properties',
            # A reader's own sandbox does not end this one.
            'mv "$DOCS_STATE/sandbox.pid" "$DOCS_STATE/account.pid"',
        ]
        # An answer that is an error is a failure, as a reader would take it.
        (self.work / ".curlrc").write_text("fail\n")
        script = self.state / "script"
        script.write_text("\n".join([*prelude, *self.script]) + "\n")
        log = self.state / "log"
        with log.open("w") as out:
            bash = subprocess.Popen(
                ["bash", script], cwd=self.work, env=self.environment(), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )
        try:
            code = bash.wait(timeout=MAX_SECONDS)
            ended = f"failed with exit code {code}" if code else None
        except subprocess.TimeoutExpired:
            ended = f"did not end within {MAX_SECONDS} s"
        finally:
            # The servers as well: they are what is left of the session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(bash.pid, signal.SIGKILL)
            bash.wait()
        if ended:
            where = self.state / "where"
            line = where.read_text().strip() if where.exists() else "the account"
            return [f"{self.page.name}:{line}: {ended}\n{log.read_text()}"]
        return [what for number, (line, text) in enumerate(self.expected) if (what := self.differs(number, line, text))]

    def differs(self, number: int, line: int, expected: str) -> str | None:
        found = (self.state / f"out-{number}").read_text().rstrip()
        if not expected or re.fullmatch(pattern(expected), found):
            return None
        return f"{self.page.name}:{line}: prints something else:\n{found}\n--- instead of\n{expected}"

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "CARGO_TARGET_DIR") if name in os.environ}
        home = os.environ.get("HOME", "/")
        return kept | {
            "PATH": f"{SHIMS}:{os.environ['PATH']}",
            "HOME": str(self.work),
            "CARGO_HOME": os.environ.get("CARGO_HOME", f"{home}/.cargo"),
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", f"{home}/.rustup"),
            "DOCS_PROGRAM": os.environ["TOKEN_PROVIDER_BIN"],
            "DOCS_STATE": str(self.state),
            "DOCS_LISTEN": self.with_free_ports("localhost:3000"),
        }


def pattern(expected: str) -> str:
    """What a console block shows, as a regular expression."""
    lines = []
    for line in expected.splitlines():
        lines.append("(?:.*\n)*?.*" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", ".*"))
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    wanted = [Path(argument).resolve() for argument in arguments]
    problems: list[str] = []
    run = skipped = 0
    for page in pages.all_pages():
        if wanted and page.path not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="token-provider-docs-", ignore_cleanup_errors=True) as folder:
            session = Session(page, Path(folder))
            for fence in page.fences:
                if not fence.info and re.search(r"^(\$ |token-provider |curl )", fence.text, flags=re.M):
                    problems.append(f"{page.name}:{fence.line}: a code block that looks like commands, without a language")
                if fence.info.split(" ")[0] not in SHELLS:
                    continue
                needed = needs(fence)
                if isinstance(needed, str):
                    problems.append(f"{page.name}:{fence.line}: {needed}")
                elif needed:
                    skipped += 1
                else:
                    session.add(fence)
                    run += 1
            if session.script:
                problems += session.run()
    for problem in problems:
        print(problem)
    print(f"commands: {run} blocks run, {skipped} need what is not here, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
