"""Completions in real shells: a terminal is opened, Tab pressed, and what the shell offers is read.

TOKEN_PROVIDER_BIN names the binary. Each shell starts without the user's own files.
"""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest

PROGRAM = pathlib.Path(os.environ["TOKEN_PROVIDER_BIN"]).resolve()
# Far more than a shell needs; the reading ends as soon as the words are there.
PATIENCE = 20


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, command: list[str], folder: str) -> None:
        self.child, self.fd = pty.fork()
        if self.child == 0:
            environment = {
                "PATH": f"{PROGRAM.parent}:/usr/bin:/bin",
                "HOME": folder,
                "TERM": "xterm",
                "ZDOTDIR": folder,
                "XDG_CONFIG_HOME": folder,
                "PS1": "READY> ",
            }
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        self.text = ""

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def wait(self, *words: str) -> str:
        """Reads until all words have come since the last call, and returns what has."""
        end = time.monotonic() + PATIENCE
        while not all(word in self.text for word in words):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"not all of {words} in {self.text!r}")
            read = os.read(self.fd, 4096).decode(errors="replace")
            # fish asks its terminal who it is, and waits for the answer.
            if "\x1b[c" in read or "\x1b[0c" in read:
                self.type("\x1b[?6c")
            self.text += re.sub(r"\x1b\[[0-9;?>=]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b[=>]|\x0f", "", read)
        text, self.text = self.text, ""
        return text

    def close(self) -> None:
        os.close(self.fd)
        os.waitpid(self.child, 0)


class Completions(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def script(self, shell: str, name: str) -> str:
        text = subprocess.run([PROGRAM, "completions", shell], capture_output=True, text=True, check=True).stdout
        path = pathlib.Path(self.folder, name)
        path.write_text(text)
        return str(path)

    def offers(self, terminal: Terminal, tab: str) -> None:
        """Tab after a command, after an option with a set of values, and in the middle of a word."""
        self.addCleanup(terminal.close)
        terminal.type("token-provider " + tab)
        terminal.wait("serve", "sandbox", "completions")
        terminal.type("\x15token-provider token --format " + tab)
        terminal.wait("text", "json", "header", "env")
        terminal.type("\x15token-provider token --form\t")
        terminal.wait("--format")
        terminal.type("\x15token-provider check --off\t")
        terminal.wait("--offline")
        terminal.type("\x15token-provider key new --iss\t")
        terminal.wait("--issuer-key")

    def test_bash(self) -> None:
        rc = pathlib.Path(self.folder, "rc")
        rc.write_text(f"PS1='READY> '\nbind 'set bell-style none'\nsource {self.script('bash', 'script')}\n")
        terminal = Terminal(["bash", "--noprofile", "--rcfile", str(rc), "-i"], self.folder)
        terminal.wait("READY> ")
        self.offers(terminal, "\t\t")

    def test_zsh(self) -> None:
        self.script("zsh", "_token-provider")
        rc = f"PS1='READY> '\nfpath=({self.folder} $fpath)\nautoload -U compinit\ncompinit -u\nunsetopt menu_complete auto_menu\n"
        pathlib.Path(self.folder, ".zshrc").write_text(rc)
        terminal = Terminal(["zsh", "-d", "-i"], self.folder)
        terminal.wait("READY> ")
        self.offers(terminal, "\t\t")

    def test_fish(self) -> None:
        folder = pathlib.Path(self.folder, "fish", "completions")
        folder.mkdir(parents=True)
        shutil.copy(self.script("fish", "script"), folder / "token-provider.fish")
        setup = "function fish_prompt; echo -n 'READY> '; end; function fish_greeting; end"
        terminal = Terminal(["fish", "-i", "-C", setup], self.folder)
        terminal.wait("READY> ")
        self.offers(terminal, "\t\t")


if __name__ == "__main__":
    unittest.main()
