"""What can become of a store: none of it costs a caller a token, and afterwards the fleet shares one again."""

import time
import unittest
from contextlib import ExitStack

import stores
from fleet import Fleet, wait_until_shared
from waiting import wait_for, wait_until, write_secret

SERVERS = 4
# So long that each server has to do without the store once.
LASTS = 12
# The longest that a caller has to wait who comes to a server without a token.
LONGEST_WAIT = 5


class Interruptions(unittest.TestCase):
    """That happen while nobody needs the store: tokens live long."""

    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.store = stores.Store(self.stack, stores.Site(self.stack, tls=True), stores.MEMORY_ONLY)

    def make_fleet(self):
        return Fleet(self.stack, SERVERS, self.store.url, self.store.access, lifetime=None)

    def assert_shared(self, fleet, kind):
        requests = fleet.account.count()
        handouts = fleet.ask_all(kind)
        self.assertEqual({handout.status for handout in handouts}, {200})
        self.assertEqual(len({handout.token for handout in handouts}), 1)
        self.assertEqual(fleet.account.count(), requests + 1)

    def test_restart_of_the_store_is_over_before_the_next_request(self):
        fleet = self.make_fleet()
        fleet.wait_until_connected()
        self.store.kill()
        self.store.start()
        wait_for("the fleet to connect again", lambda: self.store.connections() >= SERVERS, limit=20)
        fleet.wait_until_connected()
        self.assert_shared(fleet, 600)

    def test_store_that_is_away_at_the_start_is_used_once_it_is_there(self):
        self.store.kill()
        fleet = self.make_fleet()
        self.assertEqual({handout.status for handout in fleet.ask_all(300)}, {200})
        self.assertEqual(fleet.sum("token_provider_store_up"), 0)
        self.store.start()
        fleet.wait_until_connected()
        self.assert_shared(fleet, 600)


class Faults(unittest.TestCase):
    """Redis with TLS, and a user who may do what is needed."""

    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.store = stores.Store(self.stack, stores.Site(self.stack, tls=True), stores.MEMORY_ONLY)
        self.link = stores.Link(self.stack, self.store)
        self.fleet = Fleet(self.stack, SERVERS, self.link.url, self.store.access, timeout="500ms")
        self.fleet.call()
        self.fleet.settle()
        wait_until_shared(self.fleet)

    def assert_harmless(self, begin, end, is_away=True):
        """Nobody is without a token while it lasts, and afterwards all share one again."""
        begin()
        began = time.monotonic()
        self.assert_cold_callers_are_served(300)
        if is_away:
            wait_for("the fleet to notice", lambda: self.fleet.sum("token_provider_store_up") == 0)
        wait_until(began + LASTS)
        self.assert_cold_callers_are_served(600)
        end()
        ended = time.monotonic()
        wait_for("the fleet to be connected again", lambda: self.fleet.sum("token_provider_store_up") == SERVERS)
        wait_until_shared(self.fleet, since=ended)
        self.fleet.assert_one_request_per_lifetime(2)
        self.fleet.assert_all_served()

    def assert_cold_callers_are_served(self, kind):
        for handout in self.fleet.ask_all(kind):
            self.assertEqual(handout.status, 200, handout)
            self.assertLess(handout.took, LONGEST_WAIT, handout)

    def test_store_that_stands_still(self):
        self.assert_harmless(self.store.stop, self.store.go_on)

    def test_store_that_is_killed_and_starts_empty(self):
        fences = self.fleet.fences(self.store)
        self.assert_harmless(self.store.kill, self.store.start)
        now = self.fleet.fences(self.store)
        self.assertGreater(min(now.values()), max(fences.values()), "fences go on rising")

    def test_store_without_memory(self):
        # What is there can still be read.
        def fill():
            self.store.client.config_set("maxmemory", "1mb")

        def empty():
            self.store.client.config_set("maxmemory", "0")

        self.assert_harmless(fill, empty, is_away=False)

    def test_wrong_password_after_a_reload(self):
        def change(password):
            for server in self.fleet.servers:
                write_secret(server.folder / "store.password", password)
                server.hang_up()
            self.store.disconnect()

        self.assert_harmless(lambda: change("wrong"), lambda: change(self.store.password))

    def test_slow_link(self):
        def delay(seconds):
            self.link.delay = seconds

        self.assert_harmless(lambda: delay(1), lambda: delay(0))
