"""A token endpoint that leaves it to oauthlib to say whether a request is signed right."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, RequestValidator, SignatureOnlyEndpoint

TOKEN = "a-token-of-its-own"


@dataclass(frozen=True)
class TokenRequest:
    """One request as it came over the wire, and what oauthlib says of it."""

    uri: str
    headers: dict
    body: str
    accepted: bool = False
    nonce: str = ""


class Validator(RequestValidator):
    """Knows one access key. Looks at every part of a request that RFC 5849 section 3.2 names."""

    allowed_signature_methods = (SIGNATURE_HMAC_SHA256,)
    enforce_ssl = False
    # Both clocks are this machine's.
    timestamp_lifetime = 60
    # HERE recommends 6 characters and has been seen to refuse nonces that are not alphanumeric.
    nonce_length = (6, 32)
    dummy_client = "nobody"

    def __init__(self, access_key_id, access_key_secret):
        super().__init__()
        self._id = access_key_id
        self._secret = access_key_secret
        self._nonces = set()

    def check_client_key(self, client_key):
        """HERE's access key ids have no form that could be checked."""
        return bool(client_key)

    def validate_client_key(self, client_key, request):
        return client_key == self._id

    def get_client_secret(self, client_key, request):
        return self._secret

    def validate_timestamp_and_nonce(
        self, client_key, timestamp, nonce, request, request_token=None, access_token=None
    ):
        used = (timestamp, nonce) in self._nonces
        self._nonces.add((timestamp, nonce))
        return not used


def verify(request, validator):
    """Returns whether oauthlib accepts the request, and its nonce."""
    endpoint = SignatureOnlyEndpoint(validator)
    accepted, parsed = endpoint.validate_request(request.uri, "POST", request.body, request.headers)
    return accepted, parsed.nonce if parsed else ""


class Issuer:
    """Serves on a loopback port of the system's choice while it is entered."""

    def __init__(self, access_key_id, access_key_secret):
        self.requests = []
        validator = Validator(access_key_id, access_key_secret)
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            """Answers as HERE does: a token, or error 401300."""

            # For a client that sends less than it said it would.
            timeout = 10

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                # oauthlib looks some headers up by their usual spelling; on the wire, case means nothing.
                headers = {name.title(): value for name, value in self.headers.items()}
                request = TokenRequest(f"http://{headers['Host']}{self.path}", headers, body)
                accepted, nonce = verify(request, validator)
                requests.append(TokenRequest(request.uri, headers, body, accepted, nonce))
                if accepted:
                    self._answer(200, {"accessToken": TOKEN, "tokenType": "bearer", "expiresIn": 3599})
                else:
                    self._answer(401, {"httpStatus": 401, "errorCode": 401300, "message": "Signature mismatch."})

            def _answer(self, status, fields):
                body = json.dumps(fields).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format, *args):
                """The tests say what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        # How often it looks whether to stop, in seconds.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
