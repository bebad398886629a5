"""Alerts on real faults, by Debian's Prometheus with the rules as they are: each fires in time, without a gap, and ends once.

Takes a quarter of an hour: one rule waits for ten minutes before it fires, others look back for as long.
"""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
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
# It waits for an hour: only promtool tests it.
TOO_SLOW = {"CertificateExpiring"}

ADMIN = '[admin]\nlisten = "{instance}"\n'
AUDIT = '[audit]\nto = "{folder}/audit.jsonl"\n'
TLS = '[tls]\ncert = "cert.pem"\nkey = "key.pem"\n'
OUTPUT = '[[outputs]]\npath = "{folder}/outputs/token"\n'
STORE = '[store]\nurl = "file:{folder}/store"\nkey_file = "store.keys"\n'
# Its hash is nobody's.
API_KEY = f'[access]\nanonymous = true\n[[access.api_keys]]\nid = "dashboard"\nsha256 = "{"a" * 64}"\n'
OIDC = '[access.oidc]\nissuer = "{issuer}"\naudience = "token-provider"\n'

# That of RFC 7517, appendix A.1.
KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "use": "sig",
    "alg": "ES256",
    "kid": "1",
}


def day_after_tomorrow():
    return (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="seconds")


def folder_in(stack):
    return Path(stack.enter_context(tempfile.TemporaryDirectory()))


class Faulty:
    """A server to which faults can happen, with callers that ask for tokens of some lifetimes all the time."""

    def __init__(self, stack, *lifetimes, config="", **options):
        self._stack, self._lifetimes, self._options, self._is_over = stack, lifetimes, options, threading.Event()
        self._folder = folder_in(stack)
        self.instance = f"127.0.0.1:{command.free_port()}"
        self._text = ADMIN.format(instance=self.instance) + config.replace("{folder}", str(self._folder))
        self._connections = []
        stack.callback(self.disconnect)
        self.configure()
        if config == TLS:
            self.certify(days=30)
        self.write_store_keys("a", "index")
        self.start()
        callers = threading.Thread(target=self._ask)
        callers.start()
        stack.callback(callers.join)
        stack.callback(self._is_over.set)

    def start(self):
        server = command.Server(self._folder, self._folder / "config.toml", seconds=LIFE, **self._options)
        self.server = self._stack.enter_context(server)

    def stop(self):
        self.server.__exit__(None, None, None)

    def _ask(self):
        while not self._is_over.wait(2):
            for lifetime in self._lifetimes:
                try:
                    requests.get(f"{self.server.origin}/getToken?ttl={lifetime}", timeout=0.5)
                except requests.RequestException:
                    # A caller that goes away. The server goes on without it.
                    pass

    def ask_for(self, *lifetimes):
        """Callers want these from now on."""
        self._lifetimes = lifetimes

    def fault(self, **fault):
        """The account misbehaves; without a fault, it no longer does."""
        faults = [{"count": 100_000, **fault}] if fault else []
        answer = requests.put(f"{self.server.sandbox}/sandbox/faults", json=faults, timeout=INTERVAL)
        answer.raise_for_status()

    def configure(self, more=""):
        (self._folder / "config.toml").write_text(self._text + more)

    def certify(self, days):
        """Replaces the certificate by one for so many days."""
        key, cert = self._folder / "key.pem", self._folder / "cert.pem"
        if not key.exists():
            make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]
            subprocess.run(make, check=True, timeout=60, capture_output=True)
        make = ["openssl", "req", "-x509", "-key", key, "-subj", "/CN=localhost", "-days", str(days), "-out", cert]
        subprocess.run(make, check=True, timeout=60, capture_output=True)

    def audit_to(self, file):
        """Continues the audit trail in another file."""
        trail = self._folder / "audit.jsonl"
        trail.unlink()
        trail.symlink_to(self._folder / file)
        self.server.hang_up()

    def block_output(self):
        """Puts a file where the output's folder was."""
        folder = self._folder / "outputs"
        folder.rename(self._folder / "away")
        folder.touch()

    def unblock_output(self):
        (self._folder / "outputs").unlink()

    def write_store_keys(self, *names):
        new = self._folder / "new.keys"
        new.write_text("".join(f"{name} = {'A' * 43}=\n" for name in names))
        new.rename(self._folder / "store.keys")

    def block_store(self):
        """Puts a file where the store's folder was."""
        folder = self._folder / "store"
        folder.rename(self._folder / "stored")
        folder.touch()

    def unblock_store(self):
        (self._folder / "store").unlink()

    def flood_the_log(self):
        """Nobody reads the log any more, and callers come until no more of it can wait: 2 MiB, and what is in the pipe."""
        self.server.is_log_read.clear()
        with requests.Session() as session:
            for _ in range(8_000):
                session.get(f"{self.server.origin}/getToken?ttl=3600", timeout=INTERVAL)

    def connect(self, count=0):
        """Opens that many connections, and uses all once: the server closes those that are idle for 75 seconds."""
        host = self.server.origin.removeprefix("http://")
        self._connections += [http.client.HTTPConnection(host, timeout=INTERVAL) for _ in range(count)]
        for connection in self._connections:
            connection.request("GET", "/livez")
            connection.getresponse().read()

    def disconnect(self):
        for connection in self._connections:
            connection.close()


class IdentityProvider:
    """One that is away until it is started."""

    def __init__(self, stack):
        self._stack, self._folder, self._port = stack, folder_in(stack), command.free_port()
        self.issuer = f"http://127.0.0.1:{self._port}"
        (self._folder / ".well-known").mkdir()
        discovery = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        (self._folder / ".well-known/openid-configuration").write_text(json.dumps(discovery))
        (self._folder / "keys").write_text(json.dumps({"keys": [KEY]}))

    def start(self):
        serve = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", self._folder, str(self._port)]
        process = subprocess.Popen(serve, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)


class AlertsOnRealFaults(unittest.TestCase):
    def setUp(self):
        self.stack = stack = ExitStack()
        self.addCleanup(stack.close)
        self.hangs, self.refused = Faulty(stack, 60, 600), Faulty(stack, 300)
        self.off, self.gone = Faulty(stack, 60), Faulty(stack, 3600)
        self.fails, self.broken, self.ending = Faulty(stack), Faulty(stack), Faulty(stack, config=TLS)
        self.provider = IdentityProvider(stack)
        self.locked = Faulty(stack, config=OIDC.format(issuer=self.provider.issuer))
        self.full, self.unread = Faulty(stack, 3600, config=AUDIT), Faulty(stack, 3600)
        self.temporary = Faulty(stack, config=API_KEY)
        self.crowded, self.blocked = Faulty(stack, max_files=512), Faulty(stack, config=OUTPUT)
        self.stored, self.doubting = Faulty(stack, 60, config=STORE), Faulty(stack, 60, config=STORE)
        self.account = stack.enter_context(command.Sandbox(folder_in(stack), seconds=LIFE))
        self.rotated = Faulty(stack, account=self.account)
        servers = [server for server in vars(self).values() if isinstance(server, Faulty)]
        self.prometheus, self.forgetful = self.start_prometheus(*servers), self.start_prometheus(self.broken)

    def start_prometheus(self, *servers):
        """Returns a Prometheus that has seen each of them."""
        targets = [server.instance for server in servers]
        started = test_prometheus.Prometheus(folder_in(self.stack), *targets, interval=INTERVAL)
        self.stack.enter_context(started)
        while len(started.get("query", query="up == 1").get("result", [])) < len(targets):
            time.sleep(1)
        return started

    def faults(self):
        """What happens after how many seconds."""
        credentials = self.account.file.read_text()
        unknown = credentials.replace(self.account.credentials["here.access.key.id"], "nobody")
        refused, wrong_time = {"status": 401, "error_code": 401300}, {"status": 401, "error_code": 401204}
        return [
            (0, lambda: self.hangs.fault(hang=True)),
            # Its token is due within four minutes, and then HERE is asked once a minute.
            (0, lambda: self.refused.fault(**refused)),
            # Its token is due after 42 seconds.
            (0, lambda: self.off.fault(clock_skew_s=60, **wrong_time)),
            (0, lambda: self.fails.fault(**refused)),
            (0, lambda: self.fails.ask_for(60)),
            (0, self.gone.stop),
            (0, lambda: self.broken.configure("nonsense")),
            (0, lambda: self.ending.certify(days=1)),
            (0, lambda: self.temporary.configure(f"expires = {day_after_tomorrow()}\n")),
            (0, lambda: self.full.audit_to("/dev/full")),
            (0, lambda: self.account.file.write_text(unknown)),
            (0, self.forgetful.look_at),
            (0, self.unread.flood_the_log),
            # A file that is gone is missed within 30 seconds.
            (0, self.blocked.block_output),
            # The store is away once three writes have failed: each new token is one.
            (0, self.stored.block_store),
            (0, lambda: self.stored.ask_for(60, 300, 900, 1800)),
            # Their key is gone.
            (0, lambda: self.doubting.write_store_keys("b", "index")),
            # Of 448 that there may be: 64 descriptors are for other things.
            (0, lambda: self.crowded.connect(440)),
            *((at, self.crowded.connect) for at in range(40, 360, 40)),
            # What was lost or refused is seen for ten minutes.
            (60, lambda: self.off.fault(clock_skew_s=60)),
            (60, lambda: self.full.audit_to("trail.jsonl")),
            (60, self.unread.server.is_log_read.set),
            (180, self.gone.start),
            (180, self.broken.configure),
            (240, self.blocked.unblock_output),
            (180, lambda: self.ending.certify(days=30)),
            (370, self.off.fault),
            (370, self.stored.unblock_store),
            (370, self.temporary.configure),
            (370, self.crowded.disconnect),
            (370, self.provider.start),
            (370, lambda: self.account.file.write_text(credentials)),
            (370, lambda: self.forgetful.look_at(self.broken.instance)),
            (420, self.refused.fault),
            # The token of ten minutes is due after seven, and lives on for two and a half.
            (540, self.hangs.fault),
            # More succeed at once than have failed in five minutes, at one a minute.
            (640, self.fails.fault),
            (640, lambda: self.fails.ask_for(60, 300, 900, 1800, 7200, 14400, 28800, 43200, 86400)),
            # An increase is seen for five minutes.
            (800, lambda: None),
        ]

    def alerts(self):
        """Each alert, its labels, what causes it, and how many seconds later it fires."""
        requests_total = "token_provider_issuer_requests_total"
        expiry = "token_provider_certificate_expiry_timestamp_seconds"
        key_expiry = "token_provider_api_key_expiry_timestamp_seconds"
        rotation = "token_provider_credential_last_rotation_successful"

        def of(server, more=""):
            return f'instance="{server.instance}", {more}'

        minute, ten_minutes = of(self.hangs, 'lifetime="60"'), of(self.hangs, 'lifetime="600"')
        return [
            ("NoToken", minute, "token_provider_token_left_seconds{%s} == 0", 60),
            ("TokenExpiring", ten_minutes, "token_provider_token_failures{%s} > 0", 60),
            ("CredentialRefused", of(self.refused), requests_total + '{%s outcome="rejected"} > 1', 120),
            ("IssuerFailing", of(self.fails), requests_total + '{%s outcome="rejected"} > 0', 600),
            ("ClockSkew", of(self.off), "abs(token_provider_clock_offset_seconds{%s}) > 30", 300),
            ("ClockRefused", of(self.off), requests_total + '{%s outcome="clock_skew"} > 0', 0),
            ("Down", of(self.gone), "up{%s} == 0", 120),
            ("ReloadFailed", of(self.broken), "token_provider_config_last_reload_successful{%s} == 0", 120),
            ("CertificateEnding", of(self.ending), expiry + "{%s} < time() + 2 * 86400", 0),
            ("ApiKeyExpiring", of(self.temporary, 'caller="dashboard"'), key_expiry + "{%s}", 300),
            ("IdentityProviderDown", of(self.locked), "token_provider_oidc_up{%s} == 0", 300),
            ("AuditLoss", of(self.full), 'token_provider_audit_lines_lost_total{%s reason="write_failed"} > 0', 0),
            ("LogLoss", of(self.unread), "token_provider_log_lines_lost_total{%s} > 0", 0),
            ("FilesRunningOut", of(self.crowded), "process_open_fds{%s} > 0.8 * 512", 300),
            ("OutputFailing", of(self.blocked), "token_provider_output_up{%s} == 0", 120),
            ("StoreDown", of(self.stored), "token_provider_store_up{%s} == 0", 300),
            ("StoreRejected", of(self.doubting), 'token_provider_store_rejected_total{%s reason="unknown_key"} > 0', 0),
            ("RotationFailed", of(self.rotated), rotation + "{%s} == 0", 300),
            ("Absent", "", 'absent(up{job="token-provider"%s})', 300),
        ]

    def times(self, alert, query):
        """When a query found something, in seconds after the first fault."""
        prometheus = self.forgetful if alert == "Absent" else self.prometheus
        now = time.time()
        found = prometheus.get("query", time=now, query=f"({query})[{int(now - self.began)}s:{INTERVAL}s]")["result"]
        return sorted({float(at) - self.began for series in found for at, _ in series["values"]})

    def assert_fires_once(self, alert, labels, cause, wait):
        """`wait` seconds after `cause` first holds, until it no longer does or a little longer, without a gap."""
        caused = self.times(alert, cause % labels)
        self.assertTrue(caused, "has no cause")
        firing = self.times(alert, f'ALERTS{{alertname="TokenProvider{alert}", alertstate="firing", {labels}}}')
        self.assertTrue(firing, "does not fire")
        print(f"{alert}: caused after {caused[0]:.0f} s, fires from {firing[0]:.0f} to {firing[-1]:.0f} s")
        self.assertLessEqual(firing[0] - caused[0], wait + LATE, "fires late")
        gaps = [later - earlier for earlier, later in zip(firing, firing[1:], strict=False)]
        self.assertLessEqual(max(gaps, default=0), LATE, "flaps")
        self.assertGreater(time.time() - self.began - firing[-1], LATE, "does not end")

    def test_each_alert_fires_in_time_and_ends_once(self):
        rules = (test_prometheus.DEPLOY / "prometheus/token-provider.rules.yml").read_text()
        alerts = {alert for alert, *_ in self.alerts()}
        self.assertEqual(alerts, set(re.findall(r"alert: TokenProvider(\w+)", rules)) - TOO_SLOW)

        self.began = time.time()
        start = time.monotonic()
        for at, then in sorted(self.faults(), key=lambda fault: fault[0]):
            time.sleep(max(0, start + at - time.monotonic()))
            then()
        for alert, labels, cause, wait in self.alerts():
            with self.subTest(alert):
                self.assert_fires_once(alert, labels, cause, wait)


if __name__ == "__main__":
    unittest.main()
