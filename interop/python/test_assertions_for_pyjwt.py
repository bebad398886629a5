"""PyJWT, which knows nothing of HERE, accepts the client assertions of `token-provider token`, and the sandbox those of PyJWT.
`cryptography` makes the keys."""

import base64
import hashlib
import json
import tempfile
import threading
import time
import unittest
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import command
from test_sandbox_for_oauthlib import FORM, JSON, send

CLIENT = "SyntheticClientId42"
TOKEN = "a-token-of-its-own"
PATH = "/oauth2/token"
KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}


def pem(key, form=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def new_rsa(bits=2048):
    return rsa.generate_private_key(65537, bits)


def new_ec(curve=ec.SECP256R1):
    return ec.generate_private_key(curve())


class Endpoint:
    """A token endpoint that leaves it to PyJWT to say whether an assertion is right, while it is entered."""

    def __init__(self, key, algorithm):
        self.assertions, self.problems = [], []
        endpoint, seen = self, set()

        class Handler(BaseHTTPRequestHandler):
            # For a client that sends less than it said it would.
            timeout = 10

            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True)
                try:
                    assert "Authorization" not in self.headers, "an Authorization header"
                    assert form["grant_type"] == ["client_credentials"], form
                    assert form["client_assertion_type"] == [KIND], form
                    (assertion,) = form["client_assertion"]
                    claims = endpoint.verify(assertion, key, algorithm)
                    assert claims["jti"] not in seen, "an id that was used before"
                    seen.add(claims["jti"])
                    endpoint.assertions.append((jwt.get_unverified_header(assertion), claims, assertion))
                    answer, status = {"access_token": TOKEN, "token_type": "bearer", "expires_in": 3599}, 200
                except (AssertionError, KeyError, jwt.PyJWTError) as problem:
                    endpoint.problems.append(repr(problem))
                    answer, status = {"httpStatus": 401, "errorCode": 401952}, 401
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format, *args):
                """The tests say what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def verify(self, assertion, key, algorithm):
        required = ["iss", "sub", "aud", "iat", "exp", "jti"]
        claims = jwt.decode(
            assertion,
            key,
            algorithms=[algorithm],
            audience=self.url,
            issuer=CLIENT,
            subject=CLIENT,
            options={"require": required, "strict_aud": True},
        )
        assert sorted(claims) == sorted(required), claims
        assert claims["exp"] - claims["iat"] == 300, claims
        return claims

    def __enter__(self):
        # How often it looks whether to stop, in seconds.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class AssertionsForPyJwt(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def token(self, url, value, *lines):
        """Runs `token` with this value of `here.private.key`."""
        text = [
            "here.auth.method = private_key_jwt",
            f"here.client.id = {CLIENT}",
            f"here.private.key = {value}",
            f"here.token.endpoint.url = {url}",
            *lines,
        ]
        file = self.folder / "credentials.properties"
        file.write_text("\n".join(text) + "\n", encoding="utf-8")
        file.chmod(0o600)
        return command.run(self.folder, "token", "--credentials", str(file))

    def key_file(self, text):
        file = self.folder / "here.pem"
        file.write_text(text)
        file.chmod(0o600)
        return file.name

    def test_every_form_of_every_key_signs_what_is_accepted(self):
        """By path, and in the line of the file."""
        for key, algorithm in [(new_rsa(), "RS256"), (new_rsa(3072), "RS256"), (new_rsa(4096), "RS256"), (new_ec(), "ES256")]:
            for form in [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]:
                text = pem(key, form)
                with Endpoint(key.public_key(), algorithm) as endpoint:
                    for value in [self.key_file(text), text.replace("\n", "\\n"), text.strip().replace("\n", "\\\n  ")]:
                        with self.subTest(algorithm, form=form, bits=key.key_size, value=value[:12]):
                            got = self.token(endpoint.url, value, "here.key.id = 2026-11")
                            self.assertEqual((got.returncode, got.stdout), (0, TOKEN + "\n"), (got.stderr, endpoint.problems))
                            header, _, _ = endpoint.assertions[-1]
                            self.assertEqual(header, {"alg": algorithm, "kid": "2026-11", "typ": "JWT"})
                    self.assertEqual((len(endpoint.assertions), endpoint.problems), (3, []))

    def test_what_cannot_be_used_is_refused_before_anybody_is_asked(self):
        legacy = PrivateFormat.TraditionalOpenSSL
        password = BestAvailableEncryption(b"planted")
        key, other = new_rsa(), new_ec()
        unusable = {
            "fewer than 2048 bits": [pem(new_rsa(1024)), pem(new_rsa(1024), legacy)],
            "longer than the 4096 bits": [pem(new_rsa(4104)), pem(new_rsa(4104), legacy)],
            "is encrypted": [pem(key, encryption=password), pem(key, legacy, password), pem(other, encryption=password)],
            "nor on the curve P-256": [
                pem(new_ec(ec.SECP384R1)),
                pem(new_ec(ec.SECP521R1)),
                pem(ed25519.Ed25519PrivateKey.generate()),
            ],
            "or not on the curve P-256": [pem(new_ec(ec.SECP384R1), legacy), pem(new_ec(ec.SECP256K1), legacy)],
            "is a public key": [public_pem(key), public_pem(other)],
            "form that is not supported": [pem(dsa.generate_private_key(2048), legacy)],
        }
        with Endpoint(key.public_key(), "RS256") as endpoint:
            for problem, texts in unusable.items():
                for text in texts:
                    for value in [self.key_file(text), text.replace("\n", "\\n")]:
                        with self.subTest(problem, text=text[:40]):
                            got = self.token(endpoint.url, value)
                            self.assertEqual((got.returncode, got.stdout), (78, ""))
                            self.assertIn("line 3: here.private.key: ", got.stderr)
                            self.assertIn(problem, got.stderr)
                            for line in filter(None, text.splitlines()[1:-1]):
                                self.assertNotIn(line, got.stderr)
            self.assertEqual((endpoint.assertions, endpoint.problems), ([], []))

    def test_wrong_key_is_refused_and_not_shown(self):
        """What is shown above means something only if the endpoint can say no."""
        text = pem(new_rsa())
        with Endpoint(new_rsa().public_key(), "RS256") as endpoint:
            got = self.token(endpoint.url, self.key_file(text))
            self.assertEqual((got.returncode, got.stdout), (1, ""))
            self.assertIn("401952", got.stderr)
            self.assertEqual([problem.split("(")[0] for problem in endpoint.problems], ["InvalidSignatureError"])

    def test_printed_jwk_is_the_key_that_signs_and_is_named_by_its_thumbprint(self):
        for algorithm in ["RS256", "ES256"]:
            with self.subTest(algorithm):
                made = command.run(self.folder, "key", "new", "--issuer-key", f"{algorithm}.pem", "--algorithm", algorithm)
                self.assertEqual(made.returncode, 0, made.stderr)
                jwk = json.loads(made.stdout)
                required = {name: jwk[name] for name in MEMBERS[jwk["kty"]]}
                canonical = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
                thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
                self.assertEqual((jwk["kid"], jwk["alg"], jwk["use"]), (thumbprint, algorithm, "sig"))
                self.assertEqual(sorted({*required, "kid", "alg", "use"}), sorted(jwk))
                with Endpoint(jwt.PyJWK(jwk).key, algorithm) as endpoint:
                    got = self.token(endpoint.url, f"{algorithm}.pem", f"here.key.id = {thumbprint}")
                    self.assertEqual(got.stdout, TOKEN + "\n", (got.stderr, endpoint.problems))


class SandboxForPyJwt(unittest.TestCase):
    def test_assertion_gets_a_token_in_both_spellings_once(self):
        keys = {"rsa": (new_rsa(), "RS256"), "ec": (new_ec(), "ES256")}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            jwks = []
            for kid, (key, algorithm) in keys.items():
                public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
                jwks.append({**public, "kid": kid})
            (folder / "jwks.json").write_text(json.dumps({"keys": jwks}))
            with command.Sandbox(folder, options=["--jwks", str(folder / "jwks.json")]) as sandbox:
                url = sandbox.credentials["here.token.endpoint.url"]
                client = sandbox.credentials["here.client.id"]
                for kid, (key, algorithm) in keys.items():
                    now = int(time.time())
                    claims = {"iss": client, "sub": client, "aud": url, "iat": now, "exp": now + 300}
                    sign = lambda kid, **changed: jwt.encode(
                        {**claims, "jti": str(uuid.uuid4()), **changed}, key, algorithm, headers={"kid": kid}
                    )
                    form = lambda assertion: urlencode(
                        {"grant_type": "client_credentials", "client_assertion_type": KIND, "client_assertion": assertion}
                    )
                    assertion = sign(kid)
                    status, answer = send(url, FORM, form(assertion))
                    self.assertEqual((status, answer["expires_in"]), (200, 86399), answer)
                    body = {"grantType": "client_credentials", "clientAssertionType": KIND, "clientAssertion": sign(kid)}
                    status, answer = send(url, JSON, json.dumps(body))
                    self.assertEqual((status, answer["expiresIn"]), (200, 86399), answer)
                    for expected, refused in {
                        401934: assertion,
                        401933: sign(kid, iat=now - 600, exp=now - 300),
                        401932: sign(kid, aud="https://account.api.here.com/oauth2/token"),
                        401953: sign("another"),
                        401952: sign("ec" if kid == "rsa" else "rsa"),
                    }.items():
                        status, answer = send(url, FORM, form(refused))
                        self.assertEqual((status, answer["errorCode"]), (401, expected), answer)
