"""Alerts on real faults, by Debian's Prometheus with the rules as they are: each fires in time, without a gap, and ends once.

Takes a quarter of an hour: some rules wait for five minutes before they fire, or look back for five.
"""

import sys
import tempfile
import threading
import time
import unittest
from contextlib import ExitStack
from pathlib import Path

import requests

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

import command  # noqa: E402
import test_prometheus  # noqa: E402

# Seconds between two looks and two evaluations; a busy machine may miss one.
INTERVAL = 5
LATE = 3 * INTERVAL
LIFE = 900

CONFIG = """
[admin]
listen = "127.0.0.1:{admin}"
[audit]
to = "off"
"""


class Faulty:
    """A server behind whose account a fault can be put, with callers that ask for tokens of some lifetimes all the time."""

    def __init__(self, stack, *lifetimes):
        self._stack, self._lifetimes, self._is_over = stack, lifetimes, threading.Event()
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.instance = f"127.0.0.1:{command.free_port()}"
        self._config = self._folder / "config.toml"
        self._config.write_text(CONFIG.format(admin=self.instance.rpartition(":")[2]))
        self.start()
        callers = threading.Thread(target=self._ask)
        callers.start()
        stack.callback(callers.join)
        stack.callback(self._is_over.set)

    def start(self):
        self.server = self._stack.enter_context(command.Server(self._folder, self._config, seconds=LIFE))

    def _ask(self):
        while not self._is_over.wait(2):
            for lifetime in self._lifetimes:
                try:
                    requests.get(f"{self.server.origin}/getToken?ttl={lifetime}", timeout=0.5)
                except requests.RequestException:
                    # A caller that goes away. The server goes on without it.
                    pass

    def fault(self, **fault):
        faults = [{"count": 100_000, **fault}] if fault else []
        answer = requests.put(f"{self.server.sandbox}/sandbox/faults", json=faults, timeout=INTERVAL)
        answer.raise_for_status()


class AlertsOnRealFaults(unittest.TestCase):
    def times(self, query):
        """When a query found something, in seconds since the epoch, over the whole run."""
        found = self.prometheus.get("query", query=f"({query})[{LIFE}s:{INTERVAL}s]")["result"]
        return sorted({float(at) for series in found for at, _ in series["values"]})

    def assert_fires_once(self, alert, labels, cause, wait):
        """`wait` seconds after `cause` first holds, until it no longer does or a little longer, without a gap."""
        began = self.times(cause)[0]
        firing = self.times(f'ALERTS{{alertname="{alert}", alertstate="firing", {labels}}}')
        self.assertTrue(firing, f"{alert} did not fire")
        self.assertLessEqual(firing[0] - began, wait + LATE, alert)
        gaps = [later - earlier for earlier, later in zip(firing, firing[1:], strict=False)]
        self.assertLessEqual(max(gaps, default=0), LATE, f"{alert} flaps")
        self.assertGreater(time.time() - firing[-1], LATE, f"{alert} does not end")

    def test_each_alert_fires_in_time_and_ends_once(self):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            hangs, refused = Faulty(stack, 60, 600), Faulty(stack, 300)
            off, gone = Faulty(stack, 60), Faulty(stack, 3600)
            servers = [hangs, refused, off, gone]
            targets = [server.instance for server in servers]
            self.prometheus = stack.enter_context(test_prometheus.Prometheus(folder, *targets, interval=INTERVAL))
            while len(self.prometheus.get("query", query="up == 1").get("result", [])) < len(servers):
                time.sleep(1)

            start = time.monotonic()
            hangs.fault(hang=True)
            off.fault(clock_skew_s=60)
            # Its token is due within four minutes, and then HERE is asked once a minute.
            refused.fault(status=401, error_code=401300)
            gone.server.__exit__(None, None, None)
            for at, then in [
                (180, gone.start),
                (370, off.fault),
                (420, refused.fault),
                # The token of ten minutes is due after seven, and lives on for two and a half.
                (540, hangs.fault),
            ]:
                time.sleep(max(0, start + at - time.monotonic()))
                then()
            # An increase is seen for five minutes.
            time.sleep(max(0, start + 800 - time.monotonic()))

            def of(server, more=""):
                return f'instance="{server.instance}"{more}'

            kind = of(hangs, ', lifetime="60"')
            none = f"token_provider_token_left_seconds{{{kind}}} == 0"
            self.assert_fires_once("TokenProviderNoToken", kind, none, 60)
            kind = of(hangs, ', lifetime="600"')
            failing = f"token_provider_token_failures{{{kind}}} > 0"
            self.assert_fires_once("TokenProviderTokenExpiring", kind, failing, 60)
            skewed = f"abs(token_provider_clock_offset_seconds{{{of(off)}}}) > 30"
            self.assert_fires_once("TokenProviderClockSkew", of(off), skewed, 300)
            twice = f'token_provider_issuer_requests_total{{{of(refused)}, outcome="rejected"}} > 1'
            self.assert_fires_once("TokenProviderCredentialRefused", of(refused), twice, 120)
            self.assert_fires_once("TokenProviderDown", of(gone), f"up{{{of(gone)}}} == 0", 120)


if __name__ == "__main__":
    unittest.main()
