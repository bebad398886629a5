"""The configurations of docs/recipes.md, run by the programs that they are for; only addresses and hashes are exchanged.

TOKEN_PROVIDER_BIN is the program; Caddy and Traefik are beside this Python, Vite and Playwright in examples/inspector.
"""

import base64
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = pathlib.Path(sys.executable).parent
INSPECTOR = ROOT / "examples/inspector/node_modules"
PATIENCE = 60
PAGE = b"<!doctype html><title>The page</title>\n"

sys.path.insert(0, str(ROOT / "interop/python"))

import command  # noqa: E402


def block(language, heading):
    """The first block of a language below a heading."""
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(rf"^```{language}[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]


def exchanged(text, *pairs):
    for old, new in pairs:
        assert old in text, f"{old!r} is not in the recipe"
        text = text.replace(old, new)
    return text


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


class Recipes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="token-provider-recipes-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def provider(self, config="", *options):
        path = self.folder / "token-provider.toml"
        path.write_text(config)
        return self.enterContext(command.Server(self.folder, path, *options))

    def page(self):
        """Where a page is served that stands for the reader's own."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"127.0.0.1:{server.server_port}"

    def start(self, *words):
        log = (self.folder / f"log-{len(list(self.folder.iterdir()))}").open("w+")
        self.addCleanup(log.close)
        home = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        process = subprocess.Popen(words, cwd=self.folder, env=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

        def end():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        self.addCleanup(end)
        return pathlib.Path(log.name)

    def ask(self, url, **headers):
        """Status and body, once there is an answer."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()
            except OSError:
                self.assertLess(time.monotonic(), end, "nobody answers")
                time.sleep(0.1)

    def password(self):
        hashed = subprocess.run(
            [TOOLS / "caddy", "hash-password", "--plaintext", "open sesame"], env={"HOME": str(self.folder)}, check=True, capture_output=True, text=True
        ).stdout.strip()
        return hashed, "Basic " + base64.b64encode(b"ada:open sesame").decode()

    def knows_the_user(self, origin, authorization, provider):
        host = {"Host": "maps.example.com"}
        status, token = self.ask(f"{origin}/getToken?ttl=3600", Authorization=authorization, **host, **{"X-Remote-User": "mallory"})
        self.assertEqual((status, token.count(b".")), (200, 2), token)
        self.assertEqual(self.ask(f"{origin}/getToken", **host)[0], 401)
        self.assertEqual(self.ask(f"{origin}/getToken", **host, **{"X-Remote-User": "mallory"})[0], 401)
        # Where nobody has logged in, the server itself lets nobody in either.
        self.assertEqual(self.ask(f"{provider.origin}/getToken", **host)[0], 401)
        handouts = [json.loads(line) for line in provider.log if '"handed_out"' in line]
        self.assertEqual([each.get("caller") for each in handouts], ["ada"])

    def test_caddy_passes_the_user_on(self):
        provider = self.provider(block("toml", "Caddy"))
        hashed, authorization = self.password()
        port = command.free_port()
        text = exchanged(
            block("caddyfile", "Caddy"), ("maps.example.com", f"http://maps.example.com:{port}"), ("HASH", hashed),
            ("127.0.0.1:3000", provider.origin), ("127.0.0.1:8080", self.page()),
        )
        (self.folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
        self.start(TOOLS / "caddy", "run", "--config", "Caddyfile")
        origin = f"http://127.0.0.1:{port}"
        self.assertEqual(self.ask(origin, Host="maps.example.com"), (200, PAGE))
        self.knows_the_user(origin, authorization, provider)

    def test_traefik_passes_the_user_on(self):
        provider = self.provider(block("toml", "Caddy"))
        hashed, authorization = self.password()
        text = exchanged(
            block("yaml", "Traefik"), ("HASH", hashed), ("http://127.0.0.1:3000", provider.origin), ("      tls: {}\n", ""),
        )
        (self.folder / "dynamic.yaml").write_text(text)
        port = command.free_port()
        self.start(
            TOOLS / "traefik", "--providers.file.filename=dynamic.yaml", f"--entryPoints.websecure.address=127.0.0.1:{port}",
            "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false",
        )
        origin = f"http://127.0.0.1:{port}"
        end = time.monotonic() + PATIENCE
        while self.ask(f"{origin}/getToken", Host="maps.example.com")[0] == 404 and time.monotonic() < end:
            time.sleep(0.1)
        self.knows_the_user(origin, authorization, provider)

    def test_vite_hands_requests_on(self):
        provider = self.provider()
        text = exchanged(block("js", "Vite's development server"), ("http://localhost:3000", provider.origin))
        (self.folder / "vite.config.mjs").write_text(text)
        (self.folder / "index.html").write_bytes(PAGE)
        port = command.free_port()
        self.start("node", INSPECTOR / "vite/bin/vite.js", "--host", "127.0.0.1", "--port", str(port), "--strictPort")
        origin = f"http://127.0.0.1:{port}"
        self.assertIn(b"The page", self.ask(origin)[1])
        status, token = self.ask(f"{origin}/getToken?ttl=3600", **{"Sec-Fetch-Site": "same-origin", "Referer": f"{origin}/"})
        self.assertEqual((status, token.count(b".")), (200, 2), token)

    @unittest.skipUnless(os.geteuid() == 0, "root makes a network")
    def test_a_machine_on_the_network_gets_a_token_and_other_pages_do_not(self):
        serve = block("sh", "A telephone on the same network").split()
        self.assertEqual(serve[:2], ["token-provider", "serve"])
        script = f"""
            ip link set lo up
            ip address add 192.0.2.20/32 dev lo
            "$PROGRAM" serve --sandbox {" ".join(serve[2:])} 2>log &
            until grep -q 'listening on' log; do sleep 0.1; done
            ask() {{ curl --silent --output answer --write-out '%{{http_code}}\\n' http://192.0.2.20:3000/getToken "$@"; }}
            ask --header 'Origin: http://192.0.2.20:5173'
            ask --header 'Origin: http://192.0.2.20:9999'
            ask --header 'Host: attacker.example'
            kill $!
            wait
        """
        done = subprocess.run(
            ["unshare", "--net", "sh", "-c", script], cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
            env={"HOME": str(self.folder), "PATH": os.environ["PATH"], "PROGRAM": command.binary()},
        )
        self.assertEqual(done.stdout.split(), ["200", "403", "403"], done.stderr)

    def test_an_https_page_needs_the_browsers_permission(self):
        [*_, option, origin] = block("sh", "An https page and `http://localhost`").split()
        provider = self.provider("", option, origin)
        done = subprocess.run(
            ["node", ROOT / "interop/recipes/https-page.mjs", origin, provider.origin.replace("127.0.0.1", "localhost")],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout), {"without": "TypeError", "with": 200})


if __name__ == "__main__":
    unittest.main()
