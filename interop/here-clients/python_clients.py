"""HERE's package for Python, and requests-oauthlib, unchanged. The test that starts this says where the server is, and which file
its key is in."""

import os
import shutil
import unittest
from pathlib import Path
from unittest import mock

import requests
from here_location_services import LS, PlatformCredentials
from here_location_services.exceptions import AuthenticationException
from requests_oauthlib import OAuth1

FILE = Path(os.environ["KEY_FILE"])
HOME = Path(os.environ["HOME"])
HELLO = os.environ["HELLO"]
SCOPE = os.environ["SCOPE"]
SECONDS = 20


def credentials():
    """The file's lines, without HERE's package."""
    pairs = (line.partition("=") for line in FILE.read_text().splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def hello(token):
    return requests.get(HELLO, headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS)


class HereLocationServices(unittest.TestCase):
    def works(self, services):
        self.assertEqual(services.auth.aaa_oauth2_api.base_url, credentials()["here.token.endpoint.url"])
        self.assertEqual(hello(services.auth.token).status_code, 200)
        self.assertTrue(900 < services.auth._token_expires_in <= 3600)

    def test_file_by_its_path(self):
        self.works(LS(platform_credentials=PlatformCredentials.from_credentials_file(FILE)))

    def test_file_in_the_home_folder(self):
        (HOME / ".here").mkdir(exist_ok=True)
        shutil.copy(FILE, HOME / ".here/credentials.properties")
        self.works(LS())

    def test_environment(self):
        lines = credentials()
        values = {name: lines[key] for name, key in {
            "HERE_USER_ID": "here.user.id",
            "HERE_CLIENT_ID": "here.client.id",
            "HERE_ACCESS_KEY_ID": "here.access.key.id",
            "HERE_ACCESS_KEY_SECRET": "here.access.key.secret",
            "HERE_TOKEN_ENDPOINT_URL": "here.token.endpoint.url",
        }.items()}
        with mock.patch.dict(os.environ, values):
            self.works(LS(platform_credentials=PlatformCredentials.from_env()))

    def test_wrong_secret(self):
        wrong = PlatformCredentials.from_credentials_file(FILE)
        wrong.cred_properties["secret"] = wrong.cred_properties["secret"][::-1]
        with self.assertRaises(AuthenticationException) as caught:
            LS(platform_credentials=wrong)
        # It shows the body, and so what to do.
        self.assertIn("401300", str(caught.exception))


class RequestsOauthlib(unittest.TestCase):
    def post(self, secret=None, **body):
        lines = credentials()
        auth = OAuth1(
            lines["here.access.key.id"],
            client_secret=secret or lines["here.access.key.secret"],
            signature_method="HMAC-SHA256",
        )
        return requests.post(lines["here.token.endpoint.url"], auth=auth, timeout=SECONDS, **body)

    def test_form(self):
        answer = self.post(data={"grant_type": "client_credentials", "expires_in": "600", "scope": SCOPE})
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertEqual(answer.json()["scope"], SCOPE)
        self.assertLessEqual(answer.json()["expires_in"], 600)
        self.assertEqual(hello(answer.json()["access_token"]).status_code, 200)

    def test_json(self):
        answer = self.post(json={"grantType": "client_credentials", "expiresIn": 600})
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertEqual(hello(answer.json()["accessToken"]).status_code, 200)

    def test_wrong_secret(self):
        answer = self.post("x" * 43, data={"grant_type": "client_credentials"})
        self.assertEqual((answer.status_code, answer.json()["errorCode"]), (401, 401300))


if __name__ == "__main__":
    unittest.main()
