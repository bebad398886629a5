"""A fleet: servers of one credential and one store, with an account, callers, and what all of them saw."""

import base64
import itertools
import math
import re
import secrets
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import callers
import command
from waiting import wait_for, wait_until, write_secret

# Of the tokens, in seconds. Handed out for half of that, and due after 8.5 s.
LIFETIME = 20
USABLE = 10
# Between two requests for one kind of token there is as long as it takes one to become due, and a second at most
# until a server looks; the account is looked at often, but not always.
SHORTEST, LONGEST = 7.5, 11.5
# What callers ask for all the time, and what each server requests at its start.
KIND = 60
FIRST_KIND = 3600
KEYS_READ = "the store's key set was read from its file"
LIFE = 600
PATIENCE = 60


class Account(command.Sandbox):
    """The offline HERE account, and when requests for tokens came to it."""

    def __init__(self, stack, lifetime=None):
        options = ["--fault", f'{{"app": {{"token_duration_s": {lifetime}}}}}'] if lifetime else []
        self._lasting = [{"app": {"token_duration_s": lifetime}}] if lifetime else []
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        super().__init__(folder, seconds=LIFE, options=options)
        stack.enter_context(self)
        self.requests, self._is_over = [], threading.Event()
        watch = threading.Thread(target=self._watch)
        watch.start()
        stack.callback(watch.join)
        stack.callback(self._is_over.set)

    def count(self):
        """How many requests came so far."""
        return callers.get_json(self.origin, "/sandbox/stats")["token_requests"]

    def fault(self, **fault):
        """It misbehaves; without a fault, no longer."""
        faults = [*self._lasting, fault] if fault else self._lasting
        callers.put_json(self.origin, "/sandbox/faults", faults)

    def _watch(self):
        known = 0
        while not self._is_over.wait(0.1):
            count = self.count()
            self.requests += [time.monotonic()] * (count - known)
            known = count


class Server(command.Server):
    """A server of a fleet."""

    def __init__(self, stack, folder, account, config, wrapper=()):
        self.folder, self._is_stopped = folder, False
        (folder / "config.toml").write_text(config)
        super().__init__(folder, folder / "config.toml", account=account, seconds=LIFE)
        self._command = [*wrapper, *self._command]
        stack.push(self._end)
        self.__enter__()

    @property
    def name(self):
        return self.folder.name

    def kill(self):
        """SIGKILL."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def end(self):
        """SIGTERM, and waits until it has ended."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def stop(self):
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def restart(self):
        self.__enter__()

    def ask(self, kind):
        return callers.ask(self.origin, kind)

    def metric(self, name, *labels):
        """The sum of the samples with this name and these labels."""
        page = callers.get(self.admin, "/metrics")
        samples = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.MULTILINE)
        return sum(float(value) for found, value in samples if all(label in found for label in labels))

    def rejected(self, reason=None):
        """How many records it has not used, for one reason or for all."""
        labels = [f'reason="{reason}"'] if reason else []
        return self.metric("token_provider_store_rejected_total", *labels)

    def times_logged(self, text):
        return sum(text in line for line in self.log)

    def _end(self, *_):
        """However the test ended; a server that has been killed ended otherwise than it should."""
        if self._process.poll() is not None:
            return
        self.go_on()
        self.__exit__(None, None, None)


class KeyFile:
    """The lines of a store's key file."""

    def __init__(self, *names):
        self.index = _key()
        self.keys = {name: _key() for name in names}

    def text(self, *names):
        """The file with these keys in this order; without names, with all."""
        lines = [f"{name} = {self.keys[name]}" for name in names or self.keys]
        return "\n".join([*lines, f"index = {self.index}", ""])


def _key():
    return base64.b64encode(secrets.token_bytes(32)).decode()


class Fleet:
    """Servers that share a store."""

    def __init__(self, stack, size, url, access=None, lifetime=LIFETIME, timeout="1s", keys=None, names=()):
        self._stack, self._url, self._access, self._timeout = stack, url, access, timeout
        self.account = Account(stack, lifetime)
        self.keys, self._names = keys or KeyFile("a"), names
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._is_over, self.handouts, self.servers = threading.Event(), [], []
        with ThreadPoolExecutor(4) as pool:
            self.servers = list(pool.map(lambda _: self.make_server(), range(size)))

    def make_server(self, wrapper=(), keys=None):
        """One more server. It does not belong to those that are asked."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        write_secret(folder / "store.keys", keys.text() if keys else self.keys.text(*self._names))
        access = self._access(folder) if self._access else ""
        store = f'[store]\nurl = "{self._url}"\nkey_file = "store.keys"\ntimeout = "{self._timeout}"\n{access}'
        config = f'[admin]\nlisten = "127.0.0.1:0"\n[audit]\nto = "off"\n{store}'
        return Server(self._stack, folder, self.account, config, wrapper)

    def call(self, interval=0.3, servers=None):
        """Callers at each server ask all the time from now on, until the end of the test."""
        threads = [threading.Thread(target=self._call, args=(server, interval)) for server in servers or self.servers]
        for thread in threads:
            thread.start()
            self._stack.callback(thread.join)
        self._stack.callback(self._is_over.set)

    def _call(self, server, interval):
        with callers.Caller(server.origin) as caller:
            while not self._is_over.wait(interval):
                self.handouts.append(caller.ask(KIND))

    def wait_until_connected(self):
        """Until all servers use the store, and have the token that each wants first."""
        wait_for("the store", lambda: self.sum("token_provider_store_up") == len(self.servers))
        wait_for("the first token", lambda: all(server.ask(FIRST_KIND).status == 200 for server in self.servers))

    def settle(self):
        """Until all servers use the store, and none has a token that nobody asks for."""
        wait_for("the store", lambda: self.sum("token_provider_store_up") == len(self.servers))
        first = "token_provider_token_left_seconds", f'lifetime="{FIRST_KIND}"'
        wait_for("the end of the first token", lambda: self.sum(*first) == 0)

    def sum(self, name, *labels):
        """A metric of all servers."""
        return sum(server.metric(name, *labels) for server in self.servers)

    def fences(self, store):
        """Those of all tokens in a store, by name."""
        records = {name: store.client.get(name) for name in store.names("tp1:*:t")}
        return {name: fence(record) for name, record in records.items() if record}

    def ask_all(self, kind, servers=None):
        """A caller at each server, at the same time."""
        servers = servers or self.servers
        with ThreadPoolExecutor(len(servers)) as pool:
            return list(pool.map(lambda server: server.ask(kind), servers))

    def rewrite_keys(self, text, servers=None):
        """Gives all servers another key file, and waits until they have read it."""
        known = {server: server.times_logged(KEYS_READ) for server in servers or self.servers}
        for server, times in known.items():
            write_secret(server.folder / "store.keys", text)
            server.hang_up()
            wait_for("the new keys", lambda server=server, times=times: server.times_logged(KEYS_READ) > times)

    def assert_all_served(self, since=0.0):
        """No caller was left without a token, and none got one that was about to expire."""
        failed = [handout for handout in self.handouts if handout.status != 200 and handout.at >= since]
        assert not failed, f"{len(failed)} of {len(self.handouts)} callers got no token: {failed[:3]}"
        assert self.handouts, "nobody has asked"
        first = {}
        for handout in sorted(self.handouts, key=lambda handout: handout.at):
            # Its life began before anybody had it.
            age = handout.at - handout.took - first.setdefault(handout.token, handout.at)
            assert age < USABLE, f"a token is handed out for {age:.1f} s: {handout}"

    def assert_one_request_per_lifetime(self, lifetimes, since=None):
        """Watches for so many lifetimes."""
        begin = since or time.monotonic()
        wait_until(begin + lifetimes * (SHORTEST + LONGEST) / 2 + 1)
        end = time.monotonic()
        times = [at for at in self.account.requests if begin <= at <= end]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        seen = f"{[round(at - begin, 1) for at in times]} of {end - begin:.0f} s"
        assert len(times) >= math.floor((end - begin) / LONGEST), f"too few requests, at {seen}"
        assert all(gap >= SHORTEST for gap in gaps), f"more than one request in a lifetime, at {seen}"
        self._assert_shared(times)
        return len(times)

    def _assert_shared(self, times):
        """What was requested at these times came to each server that is asked."""
        for sent, next_sent in itertools.pairwise(times):
            # Others look once in a second; and the requests are noticed a little after they are made.
            during = [handout for handout in self.handouts if sent + 3 < handout.at < next_sent - 1]
            tokens = {handout.token for handout in during}
            assert len(tokens) == 1, f"{len(tokens)} tokens at once, in {len(during)} handouts"
            assert {handout.server for handout in during} == {handout.server for handout in self.handouts}


def fence(record):
    """The number in the head of a record."""
    assert re.fullmatch(rb"TPT1[a-z0-9\0]{8}\d{16}", record[:28]), record[:28]
    return int(record[12:28])


def wait_until_shared(fleet, since=None):
    """Until all servers hand out the same token, one that came after a moment; within a lifetime of that moment."""
    since = since or time.monotonic()
    wait_for("one token for all", lambda: _is_shared(fleet, since), limit=LIFETIME + since - time.monotonic())


def _is_shared(fleet, since):
    latest = {handout.server: handout for handout in list(fleet.handouts)}
    is_current = all(handout.at - handout.took > since for handout in latest.values())
    return is_current and len({handout.token for handout in latest.values()}) == 1
