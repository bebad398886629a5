"""Runs `token-provider` with nothing of this machine's configuration: an empty home, an empty folder, no environment."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import threading

# Longer than anything here takes, also on a machine that is busy elsewhere; what outlives it is ended.
MAX_LIFE_SECONDS = 300

# Below those that Linux (from 32768) and macOS (from 49152) give out by themselves: nobody else is given one of these.
_PORTS = list(range(20_000, 32_000))

_ANNOUNCEMENT = "sandbox: an offline HERE account at "


def binary():
    """The program under test, which `ci/check` has built."""
    return os.environ["TOKEN_PROVIDER_BIN"]


def free_port():
    """A port that nobody listens at, and that nobody is given before it is used: for programs that cannot be told to take any."""
    while True:
        port = _PORTS.pop(random.randrange(len(_PORTS)))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port


def run(folder, *arguments):
    """Runs a command to its end."""
    return subprocess.run(
        [binary(), *arguments],
        cwd=folder,
        env={"HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MAX_LIFE_SECONDS,
        check=False,
    )


class Sandbox:
    """The offline HERE account, while it is entered: `origin` is where, `credentials` the keys of the `file` it wrote."""

    def __init__(self, folder, seconds=MAX_LIFE_SECONDS, options=()):
        self.file = folder / "sandbox.properties"
        self._folder, self._seconds, self._options = folder, seconds, options

    def __enter__(self):
        listen = ["--listen", "127.0.0.1:0", "--write-credentials", str(self.file)]
        self._process = subprocess.Popen(
            [binary(), "sandbox", "--log-format", "json", *listen, *self._options],
            cwd=self._folder,
            env={"HOME": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._limit = threading.Timer(self._seconds, self._process.kill)
        self._limit.daemon = True
        self._limit.start()
        self.origin = self._read_origin()
        # The log is read to its end, so that a full pipe never stops the sandbox.
        self._rest_of_log = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._rest_of_log.start()
        lines = (line.partition("=") for line in self.file.read_text().splitlines() if "=" in line)
        self.credentials = {key.strip(): value.strip() for key, _, value in lines}
        return self

    def __exit__(self, *_):
        self._process.terminate()
        code = self._process.wait(MAX_LIFE_SECONDS)
        self._limit.cancel()
        self._rest_of_log.join(MAX_LIFE_SECONDS)
        self._process.stderr.close()
        assert code == 0, f"the sandbox ended with exit code {code}"

    def _read_origin(self):
        return _read(self._process.stderr, _ANNOUNCEMENT, [])


class Server:
    """`token-provider serve --sandbox` while it is entered, or a server for the `account` that a `Sandbox` is.

    `origin` is where it is, `admin` where its admin listener is, if the configuration has one, `sandbox` the HERE account
    behind it. It may have no more than `max_files` open. It is ended after `seconds`, whatever happens.
    """

    def __init__(self, folder, config, *options, account=None, max_files=None, seconds=MAX_LIFE_SECONDS):
        self._folder, self._account, self._seconds = folder, account, seconds
        limit = ["prlimit", f"--nofile={max_files}"] if max_files else []
        credentials = ["--credentials", str(account.file)] if account else ["--sandbox"]
        options = [*credentials, "--listen", "127.0.0.1:0", "--config", str(config), *options]
        self._command = [*limit, binary(), "serve", "--log-format", "json", *options]
        # A test clears it to see what happens when nobody reads the log.
        self.is_log_read = threading.Event()
        self.is_log_read.set()

    def __enter__(self):
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env={"HOME": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._limit = threading.Timer(self._seconds, self._process.kill)
        self._limit.daemon = True
        self._limit.start()
        self.log = []
        if self._account:
            self.sandbox = self._account.origin
        else:
            self.sandbox = _read(self._process.stderr, _ANNOUNCEMENT, self.log).partition(";")[0]
        places = _read(self._process.stderr, "listening on ", self.log)
        self.origin, _, self.admin = places.partition("; metrics and status at ")
        # The log is read to its end, so that a full pipe never stops the server.
        self._rest_of_log = threading.Thread(target=self._read_log, daemon=True)
        self._rest_of_log.start()
        return self

    def __exit__(self, *_):
        self.is_log_read.set()
        self._process.terminate()
        code = self._process.wait(MAX_LIFE_SECONDS)
        self._limit.cancel()
        self._rest_of_log.join(MAX_LIFE_SECONDS)
        self._process.stderr.close()
        assert code == 0, f"the server ended with exit code {code}"

    def hang_up(self):
        """SIGHUP: files are read and opened again."""
        self._process.send_signal(signal.SIGHUP)

    def _read_log(self):
        for line in self._process.stderr:
            self.log.append(line)
            self.is_log_read.wait()


def _read(stderr, announcement, log):
    """Reads the log up to a message that begins so, and returns the rest of it."""
    for line in stderr:
        log.append(line)
        message = json.loads(line).get("message", "") if line.startswith("{") else ""
        if message.startswith(announcement):
            return message.removeprefix(announcement)
    raise AssertionError("the program ended before it was ready:\n" + "".join(log))
