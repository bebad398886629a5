"""Certificates, and an identity provider with one key whose token never has to be asked for twice. Signed by openssl."""

import base64
import http.server
import json
import subprocess
import threading
import time

KEY_ID = "bench"
AUDIENCE = "token-provider"


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *map(str, args)], input=stdin, check=True, capture_output=True).stdout


def certificate(folder):
    key, file = folder / "tls.key", folder / "tls.crt"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    openssl("req", "-x509", *curve, "-days", "2", *names, "-keyout", key, "-out", file)
    return key, file


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class IdentityProvider:
    """Serves discovery and keys for as long as the measuring runs."""

    def __init__(self, folder):
        self.key = folder / "identity.key"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        modulus = openssl("rsa", "-in", self.key, "-modulus", "-noout").decode().strip().partition("=")[2]
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": KEY_ID,
            "n": base64url(bytes.fromhex(modulus)),
            "e": base64url(b"\x01\x00\x01"),
        }
        documents = {"/keys": {"keys": [key]}}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(documents.get(self.path, {})).encode()
                self.send_response(200 if self.path in documents else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        documents["/.well-known/openid-configuration"] = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self):
        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        claims = {"iss": self.issuer, "aud": AUDIENCE, "sub": "bench", "iat": now, "exp": now + 7200}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = openssl("dgst", "-sha256", "-sign", self.key, stdin=signed.encode())
        return f"{signed}.{base64url(signature)}"

    def config(self):
        return f'[access.oidc]\nissuer = "{self.issuer}"\naudience = "{AUDIENCE}"\n'
