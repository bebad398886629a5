"""What the tests of the packages share: places without Rust, static registries on this machine, and the program on a terminal.

RELEASE_FILES is the folder in which `ci/release` has put everything.
"""

import contextlib
import functools
import http.server
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = pathlib.Path(os.environ["RELEASE_FILES"]).resolve()

sys.path[:0] = [str(ROOT / "interop/python"), str(ROOT / "deploy")]

from command import free_port  # noqa: E402

# Far more than anything here takes.
PATIENCE = int(os.environ.get("PATIENCE", 120))


def documented(block, channel):
    """The command that the documentation shows, once this channel is published."""
    piece = tomllib.loads((ROOT / "ci/docs/channels.toml").read_text(encoding="utf-8"))[block][channel]
    return re.search(r"```sh[^\n]*\n(.*?)\n```", piece, re.DOTALL)[1]


@contextlib.contextmanager
def serve(handler):
    """An HTTP server for loopback; gives its origin."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class PlainFiles(http.server.SimpleHTTPRequestHandler):
    """A folder, with lists of what is in it."""

    def log_message(self, *_):
        pass


def files(folder):
    return serve(functools.partial(PlainFiles, directory=folder))


class Place(unittest.TestCase):
    """A test in an empty folder, with nothing to run but `programs`, a shell, and what they need: no Rust."""

    programs = ()
    # What else the programs are told.
    settings = {}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="token-provider-packages-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.base = pathlib.Path(folder.name)
        self.folder = self.base / "empty"
        self.folder.mkdir()
        (self.base / "bin").mkdir()
        for program in ("sh", "env", *self.programs):
            found = shutil.which(program)
            self.assertIsNotNone(found, f"{program} is not installed")
            os.symlink(found, self.base / "bin" / pathlib.Path(program).name)
        self.origin = f"http://127.0.0.1:{free_port()}"
        self.env = {
            "PATH": str(self.base / "bin"),
            "HOME": str(self.base / "home"),
            "TMPDIR": str(self.base),
            "TOKEN_PROVIDER_LISTEN": self.origin.removeprefix("http://"),
            **self.settings,
        }
        for tool in ("cargo", "rustc", "cc"):
            self.assertIsNone(shutil.which(tool, path=self.env["PATH"]))

    def run_here(self, *command, **options):
        return subprocess.run(
            command, cwd=self.folder, env=self.env | options.pop("env", {}), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE, check=False, **options,
        )

    def succeeds(self, *command, **options):
        done = self.run_here(*command, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def start(self, *command, env=None):
        """Starts a program that stays, with no terminal."""
        return self.kept(Program(command, self.folder, self.env | (env or {})))

    def start_on_terminal(self, *command):
        return self.kept(OnTerminal(command, self.folder, self.env))

    def kept(self, program):
        self.addCleanup(program.close)
        return program

    def token(self):
        with urllib.request.urlopen(f"{self.origin}/getToken", timeout=10) as answer:
            return answer.read().decode()

    def assert_ended(self, program, *codes):
        self.assertIn(program.wait(), codes or (0,), program.text)
        with self.assertRaises(OSError, msg="the server goes on"):
            self.token()

    def shows_a_token(self):
        """Opens the demonstration in a browser, and looks for a token's time."""
        page = ROOT / "interop/packages/page.mjs"
        done = subprocess.run(["node", page, self.origin], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"^\d+ s of a token of \d+ s\n$")

    def one_command(self, command, question=None):
        """What a newcomer does: on a terminal in an empty folder, to a page that shows a token, and Ctrl-C."""
        began = time.monotonic()
        server = self.start_on_terminal("sh", "-c", f"exec {command}")
        if question:
            server.until(question)
            server.type("y\r")
        server.until("listening on ")
        listening = time.monotonic() - began
        self.shows_a_token()
        shown = time.monotonic() - began
        print(f"\n{command}: listening after {listening:.1f} s, and the page shows a token after {shown:.1f} s", flush=True)
        self.assertEqual(self.token().count("."), 2)
        server.type("\x03")
        self.assert_ended(server, 0, -signal.SIGINT)
        self.assertIn("SIGINT: finishing requests in flight", server.text)

    def ends_by_key(self, *command, codes=(0,)):
        """Ctrl-C, once, lets the server finish: it does not reach it twice."""
        terminal = self.start_on_terminal(*command)
        terminal.until("listening on ")
        self.token()
        terminal.type("\x03")
        self.assert_ended(terminal, *codes)
        self.assertEqual(len(re.findall("SIGINT", terminal.text)), 1, terminal.text)
        self.assertNotIn("cut off", terminal.text)

    def passes_exit_codes_on(self, *command):
        self.assertEqual(self.succeeds(*command, "--version"), f"token-provider {version()}\n")
        self.assertEqual(self.run_here(*command, "serve", "--no-such-option").returncode, 2)
        done = self.run_here(*command, "serve")
        self.assertEqual(done.returncode, 78, done.stderr)

    def passes_signals_on(self, *command):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.start(*command, "serve", "--sandbox")
            server.until("listening on ")
            server.process.send_signal(signal.SIGHUP)
            server.until("SIGHUP: reloading")
            self.token()
            server.process.send_signal(number)
            self.assert_ended(server)
            self.assertEqual(server.text.count(f"{number.name}: "), 1, server.text)


class Program:
    """A program in the background, and what it prints."""

    def __init__(self, command, folder, env):
        self.process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )
        self.fd = self.process.stdout.fileno()
        self.text = ""

    def until(self, text):
        """Reads until it has printed this."""
        end = time.monotonic() + PATIENCE
        while text not in self.text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0] or not (read := self.read()):
                raise AssertionError(f"no {text!r} in {self.text!r}")
            self.text += read

    def read(self):
        if not select.select([self.fd], [], [], PATIENCE)[0]:
            raise AssertionError(f"goes on: {self.text!r}")
        return os.read(self.fd, 65536).decode(errors="replace")

    def wait(self):
        while read := self.read():
            self.text += read
        return self.process.wait(PATIENCE)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class OnTerminal(Program):
    """The same on a terminal of its own, where keys can be pressed."""

    def __init__(self, command, folder, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, env | {"TERM": "dumb"})
        self.text = ""

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def read(self):
        # The end of a terminal is an error of reading.
        try:
            return super().read()
        except OSError:
            return ""

    def wait(self):
        while read := self.read():
            self.text += read
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self):
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def version():
    import metadata

    return metadata.server()["version"]
