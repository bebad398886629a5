"""Records that somebody changed, moved or put back are counted and not used; and keys are rotated."""

import time
import unittest
from contextlib import ExitStack
from pathlib import Path

import callers
import stores
from fleet import Fleet, KeyFile, fence, wait_until_shared
from waiting import wait_for

KINDS = [60, 300, 600, 900, 1800, 7200, 14400, 28800, 43200, 86400]
AN_HOUR_AHEAD = ["env", "LD_PRELOAD={library}", "FAKETIME=+3600s", "FAKETIME_DONT_FAKE_MONOTONIC=1"]


def flip(record, at):
    changed = bytearray(record)
    changed[at] ^= 1
    return bytes(changed)


def is_newer(record, than):
    return record is not None and fence(record) > fence(than)


class Records(unittest.TestCase):
    """One server writes, another reads; tokens live long."""

    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.store = stores.Store(self.stack, stores.Site(self.stack, tls=True), stores.MEMORY_ONLY)
        self.fleet = Fleet(self.stack, 2, self.store.url, self.store.access, lifetime=None)
        self.fleet.wait_until_connected()
        self.writer, self.reader = self.fleet.servers
        self.kinds = iter(KINDS)

    def write(self, server=None):
        """Lets a server get a token of another kind. Returns the kind, the token, and the name of its record."""
        kind, known = next(self.kinds), self.store.names("tp1:*:t")
        token = self.get(server or self.writer, kind)
        name = wait_for("the record", lambda: set(self.store.names("tp1:*:t")) - set(known)).pop()
        return kind, token, name

    def get(self, server, kind):
        handout = server.ask(kind)
        self.assertEqual(handout.status, 200, handout)
        return handout.token

    def change(self, name, record):
        self.assertTrue(self.store.client.set(name, record, keepttl=True))

    def assert_rejected(self, reason, kind, token, reader=None):
        """The reader gets a token of its own, and counts."""
        reader = reader or self.reader
        before, requests = reader.rejected(reason), self.fleet.account.count()
        self.assertNotEqual(self.get(reader, kind), token)
        self.assertGreater(reader.rejected(reason), before, reason)
        self.assertGreater(self.fleet.account.count(), requests)

    def test_that_are_in_order_are_used(self):
        kind, token, _ = self.write()
        requests = self.fleet.account.count()
        self.assertEqual(self.get(self.reader, kind), token)
        self.assertEqual(self.fleet.account.count(), requests)
        self.assertEqual(self.reader.rejected(), 0)

    def test_that_were_changed(self):
        changes = [
            ("bad_tag", lambda record: flip(record, -1)),
            # The fence, and the text.
            ("bad_tag", lambda record: flip(record, 27)),
            ("bad_tag", lambda record: flip(record, 60)),
            ("unknown_key", lambda record: flip(record, 4)),
            ("other_format", lambda record: flip(record, 3)),
            ("malformed", lambda record: record[:20]),
            ("malformed", lambda _: b""),
        ]
        for reason, change in changes:
            with self.subTest(reason):
                kind, token, name = self.write()
                record = self.store.client.get(name)
                self.change(name, change(record))
                self.assert_rejected(reason, kind, token)
                wait_for(
                    "the new one in its place",
                    lambda name=name, record=record: is_newer(self.store.client.get(name), record),
                )

    def test_that_were_moved(self):
        _, other_token, other = self.write()
        kind, token, name = self.write()
        self.change(name, self.store.client.get(other))
        self.assert_rejected("bad_tag", kind, token)
        self.assertNotEqual(self.get(self.reader, kind), other_token)

    def test_that_would_live_for_ever(self):
        kind, token, name = self.write()
        self.store.client.persist(name)
        self.assertNotEqual(self.get(self.reader, kind), token)

    def test_of_another_key_file(self):
        for reason, name in [("unknown_key", "z"), ("bad_tag", "a")]:
            with self.subTest(reason):
                keys = KeyFile(name)
                keys.index = self.fleet.keys.index
                kind, token, _ = self.write(self.fleet.make_server(keys=keys))
                self.assert_rejected(reason, kind, token)

    def test_of_the_future(self):
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        ahead = self.fleet.make_server(wrapper=[part.format(library=library) for part in AN_HOUR_AHEAD])
        kind, token, _ = self.write(ahead)
        self.assert_rejected("future", kind, token)

    def test_of_failures(self):
        kind = next(self.kinds)
        self.fleet.account.fault(status=401, error_code=401300)
        self.assertNotEqual(self.writer.ask(kind).status, 200)
        name = self.store.name("tp1:*:f")
        self.fleet.account.fault()
        requests = self.fleet.account.count()
        self.assertNotEqual(self.reader.ask(kind).status, 200, "one attempt is enough for all")
        self.assertEqual(self.fleet.account.count(), requests)
        self.change(name, flip(self.store.client.get(name), -1))
        self.assert_rejected("bad_tag", kind, None, self.fleet.make_server())

    def test_of_reports(self):
        kind, token, name = self.write()
        record = self.store.client.get(name)
        callers.report(self.writer.origin, token)
        wait_for("its successor", lambda: self.get(self.writer, kind) != token)
        report = self.store.name("tp1:*:x*")
        wait_for("the successor's record", lambda: is_newer(self.store.client.get(name), record))
        self.change(name, record)
        self.assertNotEqual(self.get(self.reader, kind), token, "it does not come back")

        # Without the report it would: who writes to the store can bring back a token that is valid.
        self.change(report, flip(self.store.client.get(report), -1))
        self.change(name, record)
        third = self.fleet.make_server()
        self.get(third, kind)
        self.assertGreater(third.rejected("bad_tag"), 0)


class Replay(unittest.TestCase):
    """Somebody puts an older record back."""

    def test_is_noticed_by_who_has_seen_a_newer_one(self):
        with ExitStack() as stack:
            store = stores.Store(stack, stores.Site(stack, tls=True), stores.MEMORY_ONLY)
            fleet = Fleet(stack, 2, store.url, store.access)
            fleet.call()
            fleet.settle()
            name = store.name("tp1:*:t")
            older = store.client.get(name)
            token = fleet.handouts[-1].token
            wait_for("the next", lambda: is_newer(store.client.get(name), older))
            wait_until_shared(fleet)
            began = time.monotonic()
            store.client.set(name, older, px=9_000)
            # The first to notice puts a new one in its place.
            wait_for("one to notice", lambda: any(server.rejected("replayed") for server in fleet.servers))
            wait_until_shared(fleet, since=began)
            fleet.assert_all_served()
            again = [handout for handout in fleet.handouts if handout.at > began and handout.token == token]
            self.assertEqual(again, [])


class KeyRotation(unittest.TestCase):
    """A new key is added below, moved to the top, and the old one removed."""

    def test_costs_no_request(self):
        with ExitStack() as stack:
            store = stores.Store(stack, stores.Site(stack, tls=True), stores.MEMORY_ONLY)
            keys = KeyFile("a", "b")
            fleet = Fleet(stack, 4, store.url, store.access, keys=keys, names=["a"])
            fleet.call()
            fleet.settle()
            name = store.name("tp1:*:t")
            began = time.monotonic()
            for names in (["a", "b"], ["b", "a"], ["b"]):
                fleet.rewrite_keys(keys.text(*names))
                fleet.assert_one_request_per_lifetime(1)
                sealed = wait_for("a record", lambda: store.client.get(name))
                self.assertEqual(sealed[4:5].decode(), names[0])
            fleet.assert_one_request_per_lifetime(1, since=began)
            fleet.assert_all_served()
            self.assertEqual(sum(server.rejected() for server in fleet.servers), 0)
