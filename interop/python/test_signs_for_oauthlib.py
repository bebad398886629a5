"""oauthlib, which knows nothing of HERE, accepts what `token-provider token` signs, and nothing else."""

import json
import string
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import command
import issuer

ID = "SyntheticAccessKeyId42"
# As HERE makes them: 64 bytes in base64url. Longer than SHA-256's block, so HMAC hashes the key first.
SECRET_86 = "Zk3_" * 21 + "-x"
# No HERE key has a blank or a letter outside ASCII: those are refused before anybody is asked.
SPECIAL = "a+b/c=d&e%f_g~h*i!j'k(l)m"

SECRETS = {
    "86 characters": SECRET_86,
    "special characters": SPECIAL,
    "percent-encoded already": "a%2Bb%2fc%20d%25",
    "all of printable ASCII": "x" + string.punctuation + string.digits + string.ascii_letters,
    "two characters": "se",
}
IDS = {
    "needs encoding": "id+with/special=chars&%~*'()!",
    "quote and comma": 'id"with,quote',
}
PATHS = {
    "HERE's own": "/oauth2/token",
    "with a query": "/oauth2/token?z=1&sentWith=OLP-TS-SDK-1.11.0&a=b%20c&a=B&plus=1%2B1",
    "with escapes in the path": "/a%20b/oauth2/token",
}


class SignsForOauthlib(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = self.folder / "credentials.properties"

    def write_credentials(self, access_key_id, access_key_secret, url):
        """A backslash is the one character that the format takes for its own."""
        lines = {"id": access_key_id, "secret": access_key_secret}
        text = "".join(f"here.access.key.{name} = {value}\n" for name, value in lines.items())
        text += f"here.token.endpoint.url = {url}\n"
        self.file.write_text(text.replace("\\", "\\\\"), encoding="utf-8")
        self.file.chmod(0o600)

    def token(self, *options):
        return command.run(self.folder, "token", "--credentials", str(self.file), *options)

    def accepted(self, access_key_id, access_key_secret, path="/oauth2/token", *options):
        """Gets one token, and returns the one request that this took."""
        with issuer.Issuer(access_key_id, access_key_secret) as at:
            self.write_credentials(access_key_id, access_key_secret, at.origin + path)
            got = self.token(*options)
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual(got.stdout, issuer.TOKEN + "\n")
        (request,) = at.requests
        self.assertTrue(request.accepted)
        return request

    def test_every_kind_of_secret(self):
        self.assertEqual(len(SECRET_86), 86)
        for name, secret in SECRETS.items():
            with self.subTest(name):
                self.accepted(ID, secret)

    def test_every_kind_of_id(self):
        for name, access_key_id in IDS.items():
            with self.subTest(name):
                self.accepted(access_key_id, SPECIAL)

    def test_every_kind_of_endpoint(self):
        for name, path in PATHS.items():
            with self.subTest(name):
                request = self.accepted(ID, SECRET_86, path)
                self.assertTrue(request.uri.endswith(path), request.uri)

    def test_request_is_as_promised(self):
        request = self.accepted(ID, SECRET_86)
        self.assertEqual(json.loads(request.body), {"grantType": "client_credentials", "expiresIn": 3600})
        self.assertEqual(request.headers["Content-Type"], "application/json")
        self.assertRegex(request.headers["X-Correlation-Id"], r"^\S+$")

        scope = "hrn:here:authorization::myrealm:project/p1"
        request = self.accepted(ID, SECRET_86, "/oauth2/token", "--ttl", "900", "--scope", scope)
        expected = {"grantType": "client_credentials", "expiresIn": 900, "scope": scope}
        self.assertEqual(json.loads(request.body), expected)

    def test_nonce_is_new_each_time_and_needs_no_encoding(self):
        with issuer.Issuer(ID, SECRET_86) as at:
            self.write_credentials(ID, SECRET_86, f"{at.origin}/oauth2/token")
            for _ in range(3):
                self.assertEqual(self.token().returncode, 0)
        nonces = [request.nonce for request in at.requests]
        self.assertEqual(len(set(nonces)), 3, nonces)
        for nonce in nonces:
            self.assertRegex(nonce, r"^[A-Za-z0-9]{6,32}$")

    def test_wrong_secret_is_refused_and_not_shown(self):
        for expected, used in [(SECRET_86, SECRET_86[:-1] + "y"), (SPECIAL, SPECIAL.replace("/", "+"))]:
            with self.subTest(used), issuer.Issuer(ID, expected) as at:
                self.write_credentials(ID, used, f"{at.origin}/oauth2/token")
                got = self.token()
                self.assertEqual(got.returncode, 1)
                self.assertEqual(got.stdout, "")
                self.assertIn("401300", got.stderr)
                self.assertNotIn(used, got.stderr)
                self.assertEqual([request.accepted for request in at.requests], [False])

    def test_tampering_is_noticed(self):
        """What is shown above means something only if the endpoint can say no."""
        request = self.accepted(ID, SECRET_86, "/oauth2/token?a=1")
        # A fresh validator each, so that no nonce is refused for having been seen.
        accepts = lambda changed, secret=SECRET_86: issuer.verify(changed, issuer.Validator(ID, secret))[0]
        self.assertTrue(accepts(request))

        header = request.headers["Authorization"]
        self.assertIn(f'oauth_nonce="{request.nonce}"', header)
        tampered = {
            "nonce": header.replace(request.nonce, request.nonce[::-1] + "x"),
            "id": header.replace(ID, "SomebodyElse"),
            "timestamp": _with_later_timestamp(header),
            "version left out": header.replace(', oauth_version="1.0"', ""),
            "method": header.replace("HMAC-SHA256", "HMAC-SHA1"),
            "signature": _with_other_signature(header),
        }
        for name, changed in tampered.items():
            with self.subTest(name):
                self.assertNotEqual(changed, header)
                self.assertFalse(accepts(replace(request, headers={**request.headers, "Authorization": changed})))
        for name, uri in {
            "path": request.uri.replace("/oauth2/token", "/oauth2/tokens"),
            "query": request.uri.replace("a=1", "a=2"),
            "host": request.uri.replace("127.0.0.1", "127.0.0.2"),
        }.items():
            with self.subTest(name):
                self.assertNotEqual(uri, request.uri)
                self.assertFalse(accepts(replace(request, uri=uri)))
        self.assertFalse(accepts(request, SECRET_86[:-1]))

        validator = issuer.Validator(ID, SECRET_86)
        replayed = [issuer.verify(request, validator)[0] for _ in range(2)]
        self.assertEqual(replayed, [True, False])


def _with_later_timestamp(header):
    before, _, rest = header.partition('oauth_timestamp="')
    timestamp, _, after = rest.partition('"')
    return f'{before}oauth_timestamp="{int(timestamp) + 1}"{after}'


def _with_other_signature(header):
    before, _, rest = header.partition('oauth_signature="')
    return f'{before}oauth_signature="{"B" if rest[0] == "A" else "A"}{rest[1:]}'
