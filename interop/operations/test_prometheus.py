"""Metrics, alert rules and dashboard, held against Debian's Prometheus: it reads the metrics, and every query finds something."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import ExitStack
from pathlib import Path

import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEPLOY = ROOT / "deploy"
sys.path.insert(0, str(HERE.parent / "python"))

import command  # noqa: E402

SECONDS = 10
# Rates need several samples; Prometheus is asked again until then.
PATIENCE = 90
# Each is another request to the issuer.
LIFETIMES = [60, 300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400]
# Of servers with a certificate, which this one has not.
ONLY_WITH_TLS = "token_provider_certificate_expiry_timestamp_seconds"

CONFIG = """
[profiles.default]
[profiles.maps]
[access]
anonymous = true
anonymous_profiles = ["default", "maps"]
[admin]
listen = "127.0.0.1:0"
[audit]
to = "{audit}"
[[outputs]]
path = "{audit}.token"
[store]
url = "file:{audit}.store"
key_file = "store.keys"
"""


def promtool(*arguments, text=None):
    """Runs promtool, and returns what it says when it is not content."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    # `check metrics` warns on stderr.
    return "" if done.returncode == 0 and not done.stderr else done.stdout + done.stderr


class Prometheus:
    """Debian's Prometheus while it is entered, looking at servers every second, with our rules."""

    def __init__(self, folder, *targets, interval=1):
        self._folder, self._interval = folder, f"{interval}s"
        self._configure(targets)

    def _configure(self, targets):
        config = {
            "global": {"scrape_interval": self._interval, "evaluation_interval": self._interval},
            "rule_files": [str(DEPLOY / "prometheus/token-provider.rules.yml")],
            "scrape_configs": [{"job_name": "token-provider", "static_configs": [{"targets": targets}]}],
        }
        # JSON is YAML.
        (self._folder / "prometheus.yml").write_text(json.dumps(config))

    def __enter__(self):
        port = command.free_port()
        self._origin = f"http://127.0.0.1:{port}"
        self._log = (self._folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={self._folder}/prometheus.yml", f"--storage.tsdb.path={self._folder}/data"]
            + [f"--web.listen-address=127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()

    def look_at(self, *targets):
        """Goes over to other servers."""
        self._configure(targets)
        self._process.send_signal(signal.SIGHUP)

    def get(self, path, **parameters):
        """What the API says; nothing until it answers."""
        try:
            answer = requests.get(f"{self._origin}/api/v1/{path}", params=parameters, timeout=SECONDS)
        except requests.ConnectionError:
            return {}
        # It listens before it is ready, and until then says so in words.
        if answer.status_code == 503:
            return {}
        answer = answer.json()
        if answer["status"] != "success":
            raise AssertionError(f"{parameters}: {answer}")
        return answer["data"]

    def finds(self, query):
        return bool(self.get("query", query=query).get("result"))

    def troubles(self):
        """What it cannot read or evaluate, and the alerts that are not inactive."""
        targets, groups = self.get("targets").get("activeTargets", []), self.get("rules").get("groups", [])
        rules = [rule for group in groups for rule in group["rules"]]
        if not targets or not rules:
            return ["not ready"]
        found = [f"{target['health']}: {target['lastError']}" for target in targets if target["health"] != "up"]
        found += [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] == "err"]
        return found + [f"{rule['name']}: {rule['state']}" for rule in rules if rule["state"] != "inactive"]


def queries_of(dashboard):
    """Every query of a Grafana dashboard, as it is where all of everything is chosen."""
    found = []
    for panel in dashboard["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    choices = {"$__rate_interval": "30s", "$job": ".*", "$instance": ".*", "$profile": ".*"}
    for name, value in choices.items():
        found = [(title, query.replace(name, value)) for title, query in found]
    return found


class MetricsForPrometheus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = ExitStack()
        cls.addClassCleanup(stack.close)
        cls.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = cls.folder / "config.toml"
        (cls.folder / "store.keys").write_text("".join(f"{name} = {'A' * 43}=\n" for name in ("a", "index")))
        config.write_text(CONFIG.format(audit=cls.folder / "audit.jsonl"))
        cls.server = stack.enter_context(command.Server(cls.folder, config, seconds=300))

    def setUp(self):
        self.use()

    def use(self):
        """Something of everything: held tokens, new ones while there are lifetimes left, refusals."""
        new = LIFETIMES.pop() if LIFETIMES else 3600
        for query in ("", "ttl=600&profile=maps", f"ttl={new}&profile=maps", "ttl=never", "scope=unknown"):
            requests.get(f"{self.server.origin}/getToken?{query}", timeout=SECONDS)
        requests.get(f"{self.server.origin}/getToken", headers={"Origin": "https://evil.example"}, timeout=SECONDS)

    def metrics(self):
        answer = requests.get(f"{self.server.admin}/metrics", timeout=SECONDS)
        self.assertEqual(answer.status_code, 200)
        return answer.text

    def test_promtool_has_nothing_to_say_about_the_metrics(self):
        self.assertEqual(promtool("check", "metrics", text=self.metrics()), "")
        self.assertIn("counter", promtool("check", "metrics", text="# TYPE things counter\nthings 1\n"))

    def test_rules_are_well_formed_and_fire_when_they_should(self):
        self.assertEqual(promtool("check", "rules", DEPLOY / "prometheus/token-provider.rules.yml"), "")
        self.assertEqual(promtool("check", "config", DEPLOY / "prometheus/prometheus.yml"), "")
        self.assertEqual(promtool("test", "rules", DEPLOY / "prometheus/token-provider.rules.test.yml"), "")
        rules = re.findall(r"alert: (\w+)", (DEPLOY / "prometheus/token-provider.rules.yml").read_text())
        tested = (DEPLOY / "prometheus/token-provider.rules.test.yml").read_text()
        documented = (ROOT / "docs/monitoring.md").read_text()
        for rule in rules:
            self.assertIn(f"alertname: {rule}\n", tested)
            self.assertIn(f"`{rule}`", documented)

    def test_manifest_for_the_operator_has_the_same_rules(self):
        extras = DEPLOY / "kubernetes/extras"
        made = subprocess.run([extras / "make-prometheus-rule"], capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertEqual(
            (extras / "prometheus-rule.yaml").read_text(), made, "make it again: deploy/kubernetes/extras/make-prometheus-rule"
        )
        rules = yaml.safe_load((DEPLOY / "prometheus/token-provider.rules.yml").read_text())
        self.assertEqual(yaml.safe_load(made)["spec"], rules)

    def test_the_reader_of_the_prometheus_project_reads_the_metrics(self):
        families = list(text_string_to_metric_families(self.metrics()))
        self.assertGreater(sum(len(family.samples) for family in families), 60)
        self.assertEqual([family.name for family in families if family.type == "unknown"], [])

    def test_every_query_of_the_dashboard_and_of_the_alerts_finds_something(self):
        dashboard = json.loads((DEPLOY / "grafana/token-provider.json").read_text())
        waiting = dict.fromkeys(query for _, query in queries_of(dashboard) if ONLY_WITH_TLS not in query)
        self.assertGreater(len(waiting), 20)
        with Prometheus(self.folder, self.server.admin.removeprefix("http://")) as prometheus:
            until = time.monotonic() + PATIENCE
            while waiting and time.monotonic() < until:
                self.use()
                time.sleep(1)
                waiting = {query: None for query in waiting if not prometheus.finds(query)}
            self.assertEqual(list(waiting), [])
            # All rules are evaluated without an error, and a healthy server sets none of them off. A busy machine may
            # miss one look, and an alert then waits to see whether there are more.
            while (troubles := prometheus.troubles()) and time.monotonic() < until:
                time.sleep(1)
            self.assertEqual(troubles, [])

    def test_panels_have_places_and_numbers_of_their_own(self):
        panels = json.loads((DEPLOY / "grafana/token-provider.json").read_text())["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            place = panel["gridPos"]
            for x in range(place["x"], place["x"] + place["w"]):
                self.assertLess(x, 24)
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken.add((x, y))


if __name__ == "__main__":
    unittest.main()
