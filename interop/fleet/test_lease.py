"""The server that has the lease dies, or stands still, in the middle of its request."""

import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import stores
from fleet import Fleet
from waiting import wait_for, wait_until

KIND = 600
LONGEST_WAIT = 5


class HolderOfTheLease(unittest.TestCase):
    """It is asked first, and HERE takes its time."""

    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.store = stores.Store(self.stack, stores.Site(self.stack, tls=True), stores.MEMORY_ONLY)
        self.fleet = Fleet(self.stack, 4, self.store.url, self.store.access, lifetime=None)
        self.fleet.wait_until_connected()
        self.holder, *self.others = self.fleet.servers
        self.pool = self.stack.enter_context(ThreadPoolExecutor(1))

    def let_it_begin(self, milliseconds):
        """Returns once its request has arrived, which HERE answers after that time."""
        before = self.fleet.account.count()
        self.fleet.account.fault(delay_ms=milliseconds, count=1)
        self.pool.submit(self.holder.ask, KIND)
        wait_for("the request", lambda: self.fleet.account.count() == before + 1)
        self.assertTrue(self.store.names("tp1:*:l"))

    def assert_served(self, servers):
        for handout in self.fleet.ask_all(KIND, servers):
            self.assertEqual(handout.status, 200, handout)
            self.assertLess(handout.took, LONGEST_WAIT, handout)

    def test_that_is_killed_holds_up_nobody(self):
        self.let_it_begin(milliseconds=4_000)
        self.holder.kill()
        self.assert_served(self.others)

    def test_that_stands_still_until_the_lease_is_lost_replaces_no_newer_token(self):
        # Its token has arrived, and it goes on as if nothing had happened.
        self.assert_replaces_nothing(seconds=0)
        self.assertTrue(self.has_received())

    def test_that_stands_still_for_long_replaces_no_newer_token(self):
        self.assert_replaces_nothing(seconds=30)

    def assert_replaces_nothing(self, seconds):
        """Stands still for so long, and at least until there is a newer token."""
        self.let_it_begin(milliseconds=1_500)
        self.holder.stop()
        stopped = time.monotonic()
        *first, last = self.others
        self.assert_served(first)
        wait_for("the end of the lease", lambda: not self.store.names("tp1:*:l"))
        known = self.store.names("tp1:*:t")
        self.assert_served([last])
        name = wait_for("the newer token", lambda: set(self.store.names("tp1:*:t")) - set(known)).pop()
        newer = self.store.client.get(name)
        wait_until(stopped + seconds)
        self.assertFalse(self.has_received())

        self.holder.go_on()
        # As long as several operations on the store may take.
        end, records = time.monotonic() + 3, set()
        while time.monotonic() < end:
            records.add(self.store.client.get(name))
            time.sleep(0.02)
        self.assertEqual(records, {newer})
        wait_for("a token", lambda: self.holder.ask(KIND).status == 200)
        self.assertEqual(self.store.client.get(name), newer)

    def has_received(self):
        """Whether it has a token of this kind."""
        return any('"token received"' in line and f'"token.lifetime":{KIND}' in line for line in self.holder.log)
