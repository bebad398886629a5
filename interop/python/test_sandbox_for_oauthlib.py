"""oauthlib's client gets tokens from the sandbox with form requests, as HERE's Java SDK sends them."""

import json
import tempfile
import unittest
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, Client

import command

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
SCOPE = "hrn:here:authorization::myrealm:project/p1"


class SandboxForOauthlib(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = ExitStack()
        cls.addClassCleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cls.sandbox = stack.enter_context(command.Sandbox(folder))
        cls.url = cls.sandbox.credentials["here.token.endpoint.url"]

    def sign(self, body, headers, url=None, secret=None):
        credentials = self.sandbox.credentials
        client = Client(
            credentials["here.access.key.id"],
            client_secret=secret or credentials["here.access.key.secret"],
            signature_method=SIGNATURE_HMAC_SHA256,
        )
        return client.sign(url or self.url, "POST", body, headers)

    def grant(self, **fields):
        return urlencode({"grant_type": "client_credentials", **fields})

    def test_form_request_gets_a_token_that_works(self):
        status, answer = send(*self.sign(self.grant(expires_in="900", scope=SCOPE), FORM))
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["token_type"].lower(), "bearer")
        self.assertEqual(answer["scope"], SCOPE)
        self.assertTrue(890 <= answer["expires_in"] <= 900, answer["expires_in"])

        bearer = {"Authorization": f"Bearer {answer['access_token']}"}
        status, hello = send(f"{self.sandbox.origin}/hello", bearer)
        self.assertEqual((status, hello["scope"]), (200, SCOPE))

    def test_signature_is_the_rfc_one_whatever_the_query(self):
        for query in ["", "?z=1&a=b%20c&a=B&plus=1%2B1", "?sentWith=OLP-TS-SDK-1.11.0"]:
            with self.subTest(query):
                status, answer = send(*self.sign(self.grant(), FORM, self.url + query))
                self.assertEqual(status, 200, answer)
                _, stats = send(f"{self.sandbox.origin}/sandbox/stats")
                self.assertEqual(stats["last_signature_form"], "rfc5849")

    def test_json_body_takes_no_part_in_the_signature(self):
        uri, headers, _ = self.sign(None, JSON)
        body = json.dumps({"grantType": "client_credentials", "expiresIn": 600})
        status, answer = send(uri, headers, body)
        self.assertEqual(status, 200, answer)
        self.assertTrue(590 <= answer["expiresIn"] <= 600, answer["expiresIn"])

    def test_changed_form_is_refused(self):
        uri, headers, body = self.sign(self.grant(expires_in="900"), FORM)
        self.refused(401300, uri, headers, body.replace("900", "901"))
        self.refused(401300, uri, headers, body + "&scope=openid")
        self.refused(401300, uri + "?a=1", headers, body)
        # The request as it was signed is still good: what was refused was the change.
        self.assertEqual(send(uri, headers, body)[0], 200)

    def test_wrong_secret_is_refused(self):
        secret = self.sandbox.credentials["here.access.key.secret"]
        self.refused(401300, *self.sign(self.grant(), FORM, secret=secret[:-1] + "!"))

    def test_same_request_twice_is_refused(self):
        signed = self.sign(self.grant(), FORM)
        self.assertEqual(send(*signed)[0], 200)
        self.refused(401207, *signed)

    def refused(self, code, *request):
        status, answer = send(*request)
        self.assertEqual((status, answer.get("errorCode")), (401, code), answer)


def send(uri, headers=None, body=None):
    """Returns status and JSON answer. Through no proxy, whatever the environment says."""
    request = Request(uri, headers=headers or {}, data=body.encode() if body is not None else None)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=10) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)
