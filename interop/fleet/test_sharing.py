"""What one server learns, all know, and so does the next process after a restart."""

import tempfile
import time
import unittest
from contextlib import ExitStack
from pathlib import Path

import callers
import stores
from fleet import KIND, Fleet
from waiting import wait_for

SERVERS = 4
# Two of which a token is held.
HELD = [600, 3600]


class News(unittest.TestCase):
    """In Redis with TLS, and tokens that live long."""

    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.store = stores.Store(self.stack, stores.Site(self.stack, tls=True), stores.MEMORY_ONLY)
        self.fleet = Fleet(self.stack, SERVERS, self.store.url, self.store.access, lifetime=None)
        self.fleet.wait_until_connected()

    def tokens(self, kind):
        handouts = self.fleet.ask_all(kind)
        self.assertEqual({handout.status for handout in handouts}, {200})
        return {handout.token for handout in handouts}

    def test_of_a_refused_token_replace_it_at_all_servers_with_one_request(self):
        self.fleet.call()
        (token,) = self.tokens(KIND)
        # Asked for since it came: its successor is wanted.
        self.assertEqual(self.tokens(KIND), {token})
        requests = self.fleet.account.count()
        reported = time.monotonic()
        callers.report(self.fleet.servers[0].origin, token)
        wait_for("its successor everywhere", lambda: token not in self.tokens(KIND), limit=10)
        print(f"replaced at all servers after {time.monotonic() - reported:.1f} s")
        self.assertEqual(len(self.tokens(KIND)), 1)
        self.assertEqual(self.fleet.account.count(), requests + 1)

    def test_of_a_token_that_is_refused_while_the_store_is_away_come_once_it_is_back(self):
        (token,) = self.tokens(HELD[0])
        self.store.kill()
        first, *others = self.fleet.servers
        callers.report(first.origin, token)
        wait_for("its successor at the server that knows", lambda: first.ask(HELD[0]).token != token)
        self.assertEqual({handout.token for handout in self.fleet.ask_all(HELD[0], others)}, {token})
        # Empty: nothing of the report is in it.
        self.store.start()
        wait_for("its successor everywhere", lambda: token not in self.tokens(HELD[0]))

    def test_of_a_pause_that_here_asks_for_reach_all_servers(self):
        self.fleet.account.fault(status=429, retry_after=8)
        requests = self.fleet.account.count()
        first = self.fleet.servers[0].ask(600)
        handouts = self.fleet.ask_all(600, self.fleet.servers[1:])
        self.assertEqual({handout.status for handout in [first, *handouts]}, {503})
        self.assertEqual(self.fleet.account.count(), requests + 1)
        self.fleet.account.fault()
        wait_for("the end of the pause", lambda: all(handout.status == 200 for handout in self.fleet.ask_all(600)))
        self.assertEqual(len(self.tokens(600)), 1)
        self.assertEqual(self.fleet.account.count(), requests + 2)


class Restart(unittest.TestCase):
    """While HERE is away."""

    def assert_tokens_are_found(self, fleet):
        held = {kind: fleet.servers[0].ask(kind).token for kind in HELD}
        self.assertTrue(all(held.values()))
        for end in ("end", "kill"):
            for server in fleet.servers:
                getattr(server, end)()
            fleet.account.fault(status=503)
            requests = fleet.account.count()
            for server in fleet.servers:
                server.restart()
                self.assertEqual({kind: server.ask(kind).token for kind in HELD}, held)
            self.assertEqual(fleet.account.count(), requests)
            # It is away, indeed.
            self.assertEqual(fleet.servers[0].ask(7200).status, 503)
            fleet.account.fault()

    def test_finds_the_tokens_in_redis(self):
        with ExitStack() as stack:
            store = stores.Store(stack, stores.Site(stack, tls=True), stores.MEMORY_ONLY)
            self.assert_tokens_are_found(Fleet(stack, 2, store.url, store.access, lifetime=None))

    def test_finds_the_tokens_in_a_folder(self):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "kept"
            self.assert_tokens_are_found(Fleet(stack, 1, f"file:{folder}", lifetime=None))


class Folder(unittest.TestCase):
    """For one process at a time."""

    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory())) / "kept"
        self.fleet = Fleet(self.stack, 1, f"file:{self.folder}", lifetime=None)
        self.first = self.fleet.servers[0]

    def test_second_process_goes_without_it_until_the_first_ends(self):
        of_first = self.first.ask(600).token
        second = self.fleet.make_server()
        wait_for("what it says", lambda: second.times_logged("another process uses the folder"))
        self.assertEqual(second.metric("token_provider_store_up"), 0)
        self.assertNotEqual(second.ask(600).token, of_first)
        self.first.end()
        wait_for("the folder", lambda: second.metric("token_provider_store_up") == 1)
        of_second = second.ask(900).token
        second.end()
        self.fleet.account.fault(status=503)
        self.first.restart()
        self.assertEqual(self.first.ask(600).status, 200)
        self.assertEqual(self.first.ask(900).token, of_second)

    def test_what_was_changed_is_counted_and_not_used(self):
        token = self.first.ask(600).token
        self.first.end()
        before = (self.folder / "tokens").read_text()
        head, *lines = before.splitlines()
        parts = [line.partition(" ") for line in lines]
        # In the middle of the base64.
        changed = [f"{name} {_other(record, len(record) // 2)}" for name, _, record in parts]
        (self.folder / "tokens").write_text("\n".join([head, *changed, ""]))
        self.first.restart()
        self.assertNotEqual(self.first.ask(600).token, token)
        self.assertGreater(self.first.rejected("bad_tag"), 0)


def _other(text, at):
    return text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]
