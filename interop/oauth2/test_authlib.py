"""authlib gets HERE tokens by client credentials, as from any OAuth 2.0 server: it knows the server's URL, and a key."""

import os
import sys
import tempfile
import unittest
from contextlib import ExitStack
from pathlib import Path

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

import command  # noqa: E402

# The server is on this machine, without TLS.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

SCOPE = "hrn:here:authorization::myrealm:project/p1"
SECONDS = 10


class TokensForAuthlib(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = ExitStack()
        cls.addClassCleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = command.run(folder, "key", "new", "--id", "dashboard")
        assert made.returncode == 0, made.stderr
        cls.key, _, stanza = made.stdout.partition("\n")
        config = folder / "token-provider.toml"
        config.write_text(f'[profiles.default]\nscopes = ["{SCOPE}"]\n{stanza}')
        cls.server = stack.enter_context(command.Server(folder, config))

    def session(self, method, secret=None, **more):
        session = OAuth2Session("dashboard", secret or self.key, token_endpoint_auth_method=method, **more)
        # Through no proxy, whatever the environment says.
        session.trust_env = False
        self.addCleanup(session.close)
        return session

    def metadata(self):
        url = get_well_known_url(self.server.origin, external=True)
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(url, timeout=SECONDS)
        self.assertEqual((answer.status_code, answer.headers["Content-Type"]), (200, "application/json"))
        return AuthorizationServerMetadata(answer.json())

    def fetch(self, session, **form):
        return session.fetch_token(
            self.metadata()["token_endpoint"], grant_type="client_credentials", timeout=SECONDS, **form
        )

    def test_server_describes_itself(self):
        metadata = self.metadata()
        self.assertEqual(metadata["issuer"], self.server.origin)
        metadata.validate_token_endpoint_auth_methods_supported()
        metadata.validate_grant_types_supported()
        self.assertIn("client_secret_basic", metadata.token_endpoint_auth_methods_supported)
        self.assertIn("client_secret_post", metadata.token_endpoint_auth_methods_supported)
        # There is no authorization endpoint, and so no response type.
        self.assertFalse(metadata.response_types_supported)

    def test_token_works_at_heres_services(self):
        for method in ["client_secret_basic", "client_secret_post"]:
            with self.subTest(method):
                session = self.session(method)
                token = self.fetch(session)
                self.assertEqual(token["token_type"], "Bearer")
                self.assertTrue(900 < token["expires_in"] <= 3600, token["expires_in"])
                self.assertFalse(token.is_expired())
                # The session goes on with the token it has got.
                hello = session.get(f"{self.server.sandbox}/hello", timeout=SECONDS)
                self.assertEqual(hello.status_code, 200, hello.text)

    def test_scope_and_lifetime(self):
        token = self.fetch(self.session("client_secret_basic", scope=SCOPE), expires_in="600")
        self.assertEqual(token["scope"], SCOPE)
        self.assertTrue(150 < token["expires_in"] <= 600, token["expires_in"])

    def test_refusals(self):
        wrong = self.key[:-1] + ("B" if self.key.endswith("A") else "A")
        for method in ["client_secret_basic", "client_secret_post"]:
            self.refused("invalid_client", self.session(method, wrong))
        self.refused("invalid_scope", self.session("client_secret_basic", scope=SCOPE + "2"))
        self.refused("invalid_request", self.session("client_secret_basic"), expires_in="soon")

    def refused(self, code, session, **form):
        with self.assertRaises(OAuthError) as caught:
            self.fetch(session, **form)
        self.assertEqual(caught.exception.error, code)
        self.assertTrue(caught.exception.description)

    def test_key_is_in_no_log(self):
        self.assertNotIn(self.key, "".join(self.server.log))


if __name__ == "__main__":
    unittest.main()
