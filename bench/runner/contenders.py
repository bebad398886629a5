"""Those that are compared, each started the way its users start it, on a port of this machine."""

import os
import re
import ssl
import subprocess
from pathlib import Path

from processes import Failure, Process, fetch, free_port, wait_for

BENCH = Path(__file__).parent.parent
PROGRAM = os.environ.get("TOKEN_PROVIDER_BIN", "")
LOAD = os.environ.get("BENCH_LOAD_BIN", "")
# HERE's tokens have 700 to 850 characters.
TOKEN_LENGTH = 800
PATH = "/getToken?ttl=3600"
ANYBODY = ssl._create_unverified_context()

NAMES = {
    "open": "token-provider, open",
    "default": "token-provider, default settings",
    "nginx": "nginx, `return 200`",
    "hyper": "hyper alone",
    "node": "Node, Express 5",
}


class Server:
    """A contender that is running."""

    def __init__(self, process, port, headers=(), scheme="http", waste=None):
        self.process = process
        self.port = port
        self.headers = headers
        self.url = f"{scheme}://127.0.0.1:{port}{PATH}"
        # A file that it writes to without end.
        self.waste = waste
        self.body = wait_for(process, self.url, headers, ANYBODY)

    def tidy(self):
        if self.waste and self.waste.exists():
            os.truncate(self.waste, 0)


class Stable:
    """Starts contenders, and stops all of them in the end."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.issuers = {}
        self.issuing = []
        self.count = 0
        self.tls = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_all()

    def stop_all(self):
        while self.running:
            self.running.pop().stop()
        self.issuers.clear()
        self.issuing.clear()

    def stop(self, server):
        self.stop_process(server.process)

    def stop_process(self, process):
        self.running.remove(process)
        process.stop()

    def path(self, name):
        self.count += 1
        return self.folder / f"{self.count}-{name}"

    def start(self, args, name, **options):
        process = Process([str(arg) for arg in args], log=self.path(f"{name}.log"), **options)
        self.running.append(process)
        return process

    def load(self, *args, **options):
        process = Process([LOAD, *map(str, args)], stdout=subprocess.PIPE, stderr=None, **options)
        self.running.append(process)
        return process

    # What stands behind a server that hands out tokens.

    def issuer(self, expires_in=86_400, delay_ms=0):
        """The port of an issuer, which is shared by all that want the same."""
        wish = (expires_in, delay_ms)
        if wish not in self.issuers:
            process = self.load("issuer", TOKEN_LENGTH, expires_in, delay_ms)
            self.issuers[wish] = process.json_line()["port"]
            self.issuing.append(process)
        return self.issuers[wish]

    def stop_issuers(self):
        """Takes the issuers away from the servers that run."""
        while self.issuing:
            self.stop_process(self.issuing.pop())
        self.issuers.clear()

    def issued(self, issuer):
        return int(re.search(rb"\d+", fetch(f"http://127.0.0.1:{issuer}/count")[2])[0])

    def credentials(self, issuer):
        file = self.path("credentials.properties")
        file.write_text(
            "here.access.key.id = bench\nhere.access.key.secret = not-a-secret-for-measuring\n"
            f"here.token.endpoint.url = http://127.0.0.1:{issuer}/oauth2/token\n"
        )
        file.chmod(0o600)
        return file

    def certificate(self):
        """A key and a certificate for it, made once."""
        if not self.tls:
            key, file = self.folder / "tls.key", self.folder / "tls.crt"
            curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
            command = ["openssl", "req", "-x509", *curve, "-days", "2", *names, "-keyout", key, "-out", file]
            subprocess.run(command, check=True, capture_output=True)
            self.tls = key, file
        return self.tls

    # The contenders.

    def ours_command(self, port, config, issuer):
        file = self.path("config.toml")
        file.write_text(f'listen = ["127.0.0.1:{port}"]\n{config}')
        return [PROGRAM, "serve", "--config", file, "--credentials", self.credentials(issuer)]

    def ours(self, config='[audit]\nto = "off"\n', issuer=None, **options):
        port = free_port()
        process = self.start(self.ours_command(port, config, issuer or self.issuer()), "token-provider")
        return Server(process, port, waste=process.log, **options)

    def node_command(self, port, issuer):
        url = f"http://127.0.0.1:{issuer}/oauth2/token"
        return ["node", BENCH / "node-server/server.mjs", self.credentials(issuer), url, port]

    def node(self, issuer=None):
        port = free_port()
        process = self.start(self.node_command(port, issuer or self.issuer()), "node", env=NODE_ENV)
        return Server(process, port)

    def cold_node(self, issuer):
        """The port of one that nobody has asked yet."""
        port = free_port()
        process = self.start(self.node_command(port, issuer), "node", env=NODE_ENV, stdout=subprocess.PIPE)
        process.json_line()
        return port

    def nginx(self, answer, tls=False):
        """nginx with the same answer: headers and body."""
        port, folder = free_port(), self.path("nginx")
        folder.mkdir()
        _, headers, body = answer
        own = ("content-type", "content-length", "date")
        # A new one for each request, as elsewhere.
        values = {name: "$request_id" if name == "x-request-id" else value for name, value in headers.items()}
        lines = [f'add_header {name} "{value}";' for name, value in values.items() if name not in own]
        secure = ""
        if tls:
            key, certificate = self.certificate()
            files = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
            secure = f"{files} ssl_protocols TLSv1.3; ssl_ecdh_curve X25519;"
        text = (BENCH / "nginx.conf").read_text()
        for name, value in {
            "FOLDER": str(folder),
            "LISTEN": f"127.0.0.1:{port}{' ssl' if tls else ''}",
            "TLS": secure,
            "HEADERS": "\n            ".join(lines),
            "TYPE": headers["content-type"],
            "BODY": body.decode(),
        }.items():
            text = text.replace(f"@{name}@", value)
        file = folder / "nginx.conf"
        file.write_text(text)
        process = self.start(["nginx", "-p", folder, "-c", file, "-e", folder / "error.log"], "nginx")
        return Server(process, port, scheme="https" if tls else "http")

    def hyper(self, answer):
        """The HTTP library that token-provider uses, with an answer made before."""
        _, headers, body = answer
        file = self.path("answer")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        file.write_bytes(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body)
        process = self.load("hyper", file)
        return Server(process, process.json_line()["port"])

    def usual(self):
        """All of them, with the same answer."""
        ours = self.ours()
        answer = answer_of(ours)
        servers = {
            "open": ours,
            "default": self.ours(""),
            "nginx": self.nginx(answer),
            "hyper": self.hyper(answer),
            "node": self.node(),
        }
        for name, server in servers.items():
            if len(server.body) != TOKEN_LENGTH:
                raise Failure(f"{name} answers with {len(server.body)} bytes, and not {TOKEN_LENGTH}")
        return servers


NODE_ENV = {"NODE_ENV": "production"}


def answer_of(server):
    """Status, headers (by lower-case name) and body of an answer."""
    status, headers, body = fetch(server.url, server.headers, ANYBODY)
    headers = {name.lower(): value for name, value in headers.items()}
    # Python asks for one answer and no more.
    headers.pop("connection", None)
    return status, headers, body
