"""Processes that are measured: what they cost, and that they end."""

import contextlib
import json
import os
import random
import select
import socket
import subprocess
import time
import urllib.request

# Below those that the system gives out by itself (on Linux from 32768): nobody else is given one of these.
PORTS = range(20_000, 32_000)
TICKS = os.sysconf("SC_CLK_TCK")
TIMEOUT = 20.0


class Failure(Exception):
    """A contender does not do what it should."""


class Process:
    """A program in the background, with those that it starts."""

    def __init__(self, args, env=None, log=None, **options):
        self.args = args
        self.log = log
        out = open(log, "ab") if log else subprocess.DEVNULL
        # Nothing of this machine's configuration, but the way to programs.
        env = {"PATH": os.environ["PATH"], **(env or {})}
        options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, **options}
        self.child = subprocess.Popen(args, env=env, **options)
        if log:
            out.close()

    def pids(self):
        pids, queue = [], [self.child.pid]
        while queue:
            pid = queue.pop()
            pids.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as file:
                    queue += map(int, file.read().split())
            except FileNotFoundError:
                pass
        return pids

    def cpu_seconds(self):
        """User and system time of all its threads, those that have ended included."""
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as file:
                # The name before may have spaces in it.
                fields = file.read().rpartition(") ")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def resident_bytes(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as file:
                line = next(line for line in file if line.startswith("VmRSS:"))
            total += int(line.split()[1]) * 1024
        return total

    def json_line(self, timeout=TIMEOUT):
        """The next line that it prints, which is JSON."""
        if not select.select([self.child.stdout], [], [], timeout)[0]:
            raise Failure(f"{self.args} said nothing")
        line = self.child.stdout.readline()
        if not line:
            raise Failure(f"{self.args} ended with {self.child.wait()}")
        return json.loads(line)

    def expect_running(self):
        if self.child.poll() is not None:
            said = ""
            if self.log:
                with open(self.log, errors="replace") as file:
                    said = file.read()[-2000:]
            raise Failure(f"{' '.join(self.args)} ended with {self.child.returncode}\n{said}")

    def stop(self):
        for stream in (self.child.stdin, self.child.stdout):
            if stream:
                stream.close()
        if self.child.poll() is None:
            self.child.terminate()
        try:
            self.child.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def free_port():
    """A port that nobody listens on just now."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def fetch(url, headers=(), context=None):
    """One answer's status, headers and body. No proxy that the environment may name is asked."""
    handlers = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers=dict(headers))
    with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT) as answer:
        return answer.status, answer.headers, answer.read()


def wait_for(process, url, headers=(), context=None):
    """Returns the body of the first answer."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        process.expect_running()
        try:
            return fetch(url, headers, context)[2]
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"{url}: {error}") from error
            time.sleep(0.02)
