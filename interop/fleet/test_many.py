"""Twenty servers: with very many callers at once, and over many lifetimes."""

import os
import unittest
from contextlib import ExitStack

import callers
import stores
from fleet import Fleet

SERVERS = 20
CALLERS = 1_000
LIFETIMES = int(os.environ.get("FLEET_LIFETIMES", "10"))


class ManyCallers(unittest.TestCase):
    """A thousand callers at each server, none of which has a token."""

    def one_request(self, stack, store):
        fleet = Fleet(stack, SERVERS, store.url, store.access, lifetime=None, timeout="2s")
        fleet.wait_until_connected()
        # One, or more where a busy machine took its time to connect all of them: nobody waits for that at the start.
        requests = fleet.account.count()
        # So that nobody finds one that is held already.
        fleet.account.fault(delay_ms=300)
        origins = [server.origin for server in fleet.servers]
        counts, longest = callers.ask_at_once(origins, CALLERS, kind=600)
        got = {(status, bool(token)): number for (status, token), number in counts.items()}
        self.assertEqual(got, {(200, True): SERVERS * CALLERS}, f"statuses, and whether there was a token: {got}")
        self.assertEqual(fleet.account.count(), requests + 1)
        print(f"{SERVERS * CALLERS} callers had their token after {longest:.1f} s")

    def test_cost_one_request_in_redis_with_tls(self):
        with ExitStack() as stack:
            self.one_request(stack, stores.Store(stack, stores.Site(stack, tls=True), stores.MEMORY_ONLY))

    def test_cost_one_request_in_valkey(self):
        with ExitStack() as stack:
            store = stores.Store(stack, stores.Site(stack), stores.MEMORY_ONLY, program=stores.VALKEY)
            self.one_request(stack, store)


class ManyLifetimes(unittest.TestCase):
    """Tokens of 20 s, in Redis with TLS."""

    def test_cost_one_request_each(self):
        with ExitStack() as stack:
            store = stores.Store(stack, stores.Site(stack, tls=True), stores.MEMORY_ONLY)
            fleet = Fleet(stack, SERVERS, store.url, store.access, timeout="2s")
            fleet.call(interval=0.5)
            fleet.settle()
            requests = fleet.assert_one_request_per_lifetime(LIFETIMES)
            fleet.assert_all_served()
            print(f"{requests} requests for {len(fleet.handouts)} handouts of {SERVERS} servers")
