"""What the kubelet would do for a container of the manifests, without a cluster: its volumes as folders, its environment, its
probes. The program, its arguments and its files are those of the manifest; only places are others."""

import contextlib
import http.client
import json
import os
import shlex
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path

import command

# Ends a wait in vain; on an idle machine nothing here takes a tenth of it.
SECONDS = 60


def binary():
    """The program under test, which `ci/check` has built."""
    return os.environ["TOKEN_PROVIDER_BIN"]


class Volume:
    """A volume of a ConfigMap or a Secret, kept as the kubelet keeps it: each file is a symbolic link into `..data`, which is one
    to a folder with a name of its own, and is exchanged for another by renaming."""

    def __init__(self, folder, files):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self._versions = 0
        self.write(files)
        for name in files:
            (self.folder / name).symlink_to(f"..data/{name}")

    def write(self, files):
        self._versions += 1
        version = self.folder / f"..version-{self._versions}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
            # fsGroup adds the group's right to what `defaultMode` says.
            (version / name).chmod(0o440)
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.rename(self.folder / "..data")


@contextlib.contextmanager
def valkey(folder, container, files):
    """Runs Debian's Redis with the configuration of a container for Valkey."""
    places = {mount["mountPath"]: folder / mount["name"] for mount in container["volumeMounts"]}
    for name, texts in files.items():
        for place, here in places.items():
            texts = {file: text.replace(place, str(here)) for file, text in texts.items()}
        Volume(folder / name, texts)
    program, config = container["command"]
    assert program == "valkey-server", program
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            ["redis-server", str(places["/etc/valkey"] / Path(config).name)], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + SECONDS
        while "Ready to accept connections" not in (logged := (folder / "log").read_text()):
            assert server.poll() is None and time.monotonic() < end, logged
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(SECONDS)


class Pod:
    """A running container of a pod, while it is entered."""

    def __init__(self, folder, container, files):
        """`files` has the text of each file, by volume and name."""
        self._folder = Path(folder)
        self._container = container
        # Two pods of one machine cannot have one port.
        self._ports = {port: command.free_port() for port in (3000, 9464)}
        self.places = {}
        self.volumes = {}
        for mount in container["volumeMounts"]:
            self.places[mount["mountPath"]] = self._folder / mount["name"]
        for mount in container["volumeMounts"]:
            texts = {name: self.here(text) for name, text in files[mount["name"]].items()}
            self.volumes[mount["name"]] = Volume(self.places[mount["mountPath"]], texts)
        # What Kubernetes says of a Service of this name is not for the program, and does it no harm.
        self.environment = {"HOME": "/", "TOKEN_PROVIDER_SERVICE_HOST": "10.0.0.1", "TOKEN_PROVIDER_PORT": "tcp://10.0.0.1:80"}
        for variable in container.get("env", []):
            self.environment[variable["name"]] = self.here(variable["value"])
        # The program's own default is this machine's folder.
        self.environment["TOKEN_PROVIDER_CONFIG"] = str(self.places["/etc/token-provider"] / "config.toml")

    def here(self, text):
        """What the container calls by a name of its own, as it is called on this machine."""
        for place, folder in self.places.items():
            text = text.replace(place, str(folder))
        for port, other in self._ports.items():
            text = text.replace(f":{port}\"", f":{other}\"")
        return text

    def run(self, *arguments):
        """Runs the program in the container to its end."""
        return subprocess.run(
            [binary(), *arguments], cwd=self.places["/etc/token-provider"], env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )

    def __enter__(self):
        self.log = []
        self._process = subprocess.Popen(
            [binary(), *self._container["args"]], cwd=self.places["/etc/token-provider"], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        self._reader = threading.Thread(target=lambda: self.log.extend(self._process.stderr), daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self.terminate()

    def terminate(self):
        """Ends it as the kubelet does, and returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(SECONDS)
        finally:
            self._process.kill()
            self._reader.join(SECONDS)
            self._process.stderr.close()

    def logged(self, text):
        """Waits for a message."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for line in list(self.log):
                if line.startswith("{") and text in json.loads(line)["message"]:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"{text!r} is not logged:\n{''.join(self.log)}")

    def get(self, port, path, scheme="HTTP", **headers):
        """Asks at a named port, as the kubelet or a caller would. Returns status and body."""
        [number] = [each["containerPort"] for each in self._container["ports"] if each["name"] == port]
        address = ("127.0.0.1", self._ports[number])
        if scheme == "HTTPS":
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(*address, timeout=SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection(*address, timeout=SECONDS)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (ConnectionError, http.client.BadStatusLine) as error:
            # The latter where TLS answers with an alert.
            return 0, str(error)
        finally:
            connection.close()

    def probe(self, name):
        """Asks as a probe does. Returns whether it succeeded, and what it heard."""
        probe = self._container[name]
        if "exec" in probe:
            program, *arguments = probe["exec"]["command"]
            assert program == "/usr/bin/token-provider", shlex.join(probe["exec"]["command"])
            done = self.run(*arguments)
            return done.returncode == 0, done.stdout + done.stderr
        http_get = probe["httpGet"]
        status, body = self.get(http_get["port"], http_get["path"], http_get.get("scheme", "HTTP"))
        return 200 <= status < 400, f"{status} {body}"

    def succeeds(self, name):
        """Waits until a probe succeeds."""
        end = time.monotonic() + SECONDS
        while True:
            succeeded, heard = self.probe(name)
            if succeeded:
                return
            if time.monotonic() > end:
                raise AssertionError(f"{name} never succeeds: {heard}\n{''.join(self.log)}")
            time.sleep(0.1)
