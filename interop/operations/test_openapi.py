"""What `/openapi.json` says against what the server does: the shared contract cases, and schemathesis with all its checks."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path

import jsonschema_rs
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

HERE = Path(__file__).resolve().parent
CASES = HERE.parent.parent / "crates/token-provider-server/testdata/http"
sys.path.insert(0, str(HERE.parent / "python"))

import command  # noqa: E402

SECONDS = 10
# So many requests for each way of going wrong, in each operation. Always the same ones.
EXAMPLES = "50"
SEED = "20260101"

SCOPE = "hrn:here:authorization::myrealm:project/p1"
CONFIG = f"""
[profiles.default]
scopes = ["{SCOPE}"]
[admin]
listen = "127.0.0.1:0"
[audit]
to = "off"
"""


class Document:
    """An OpenAPI document that answers can be held against."""

    def __init__(self, document):
        self.document = document
        self._validators = {}

    def faults(self, method, path, status, headers, body):
        """What is wrong with an answer: headers by lower-case name, `body` as bytes."""
        operations = self.document["paths"][path]
        operation = operations.get(method.lower()) or (operations.get("get") if method == "HEAD" else None)
        if operation is None:
            # The path's other methods say what happens then.
            operation = {"responses": {"405": self._resolve({"$ref": "#/components/responses/MethodNotAllowed"})}}
        response = operation["responses"].get(str(status))
        if response is None:
            return [f"status {status} is not documented"]
        response = self._resolve(response)
        faults = []
        for name, header in response.get("headers", {}).items():
            header = self._resolve(header)
            value = headers.get(name.lower())
            if value is None:
                faults += [f"{name}: missing"] if header.get("required") else []
                continue
            kind = header["schema"].get("type")
            value = int(value) if kind == "integer" and value.isdigit() else value
            faults += [f"{name}: {fault}" for fault in self._schema_faults(header["schema"], value)]
        content = response.get("content", {})
        media_type = headers.get("content-type", "").partition(";")[0]
        if method == "HEAD" or (not content and not body):
            return faults
        if media_type not in content:
            return faults + [f"{media_type or 'no media type'} is not documented"]
        value = json.loads(body) if media_type == "application/json" else body.decode()
        return faults + self._schema_faults(content[media_type]["schema"], value)

    def _resolve(self, node):
        while "$ref" in node:
            place = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                place = place[part]
            node = place
        return node

    def _schema_faults(self, schema, value):
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {**schema, "components": self.document["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        return [error.message for error in self._validators[key].iter_errors(value)]


def send(port, request):
    """Sends a case's request as it is written, and returns method, path, status, headers and body."""
    method, target = request.get("method", "GET"), request["target"].replace("{port}", str(port))
    target = target.ljust(request.get("pad_target_to", 0), "x")
    headers = [(name, value.replace("{port}", str(port))) for name, value in request.get("headers", [])]
    if not request.get("no_host") and not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", f"127.0.0.1:{port}"))
    body = request.get("body", "").encode()
    if "body" in request:
        headers.append(("Content-Length", str(len(body))))
    headers.append(("Connection", "close"))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
        response = HTTPResponse(connection, method=method)
        response.begin()
        found = {name.lower(): value for name, value in response.getheaders()}
        return method, target.partition("?")[0], response.status, found, response.read()


class AnswersAndTheDocument(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = ExitStack()
        cls.addClassCleanup(stack.close)
        cls.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = cls.folder / "config.toml"
        config.write_text(CONFIG)
        cls.server = stack.enter_context(command.Server(cls.folder, config, seconds=900))
        answer = requests.get(f"{cls.server.origin}/openapi.json", timeout=SECONDS)
        cls.document = Document(answer.json())

    def test_document_is_valid_openapi_3_1(self):
        self.assertTrue(self.document.document["openapi"].startswith("3.1."))
        errors = [error.message for error in OpenAPIV31SpecValidator(self.document.document).iter_errors()]
        self.assertEqual(errors, [])

    def test_answers_to_the_contract_cases_are_as_documented(self):
        compared = 0
        for file in sorted(CASES.glob("*.json")):
            text = json.loads(file.read_text())
            with tempfile.TemporaryDirectory() as folder:
                config = Path(folder) / "config.toml"
                config.write_text("\n".join(text.get("config", [])))
                with command.Server(Path(folder), config) as server:
                    port = int(server.origin.rpartition(":")[2])
                    for case in text["cases"]:
                        compared += self._compare(port, case, file.name)
        # Not one of them is left out because of a slip here.
        self.assertGreater(compared, 150)

    def _compare(self, port, case, file):
        method, path, status, headers, body = send(port, case["request"])
        # Preflights and paths that are not there are no part of the document.
        if path not in self.document.document["paths"] or method == "OPTIONS" or status == 404:
            return 0
        faults = self.document.faults(method, path, status, headers, body)
        self.assertEqual(faults, [], f"{file}: {case['name']}: {status} {body[:200]}")
        return 1

    def test_comparing_finds_what_is_wrong(self):
        answer = requests.get(
            f"{self.server.origin}/getToken", headers={"Accept": "application/json"}, timeout=SECONDS
        )
        headers = {name.lower(): value for name, value in answer.headers.items()}

        def faults(status=200, body=answer.content, **changed):
            changed = {name.replace("_", "-"): value for name, value in changed.items()}
            return self.document.faults("GET", "/getToken", status, {**headers, **changed}, body)

        self.assertEqual(faults(), [])
        self.assertTrue(faults(status=418))
        self.assertTrue(faults(vary="Origin"))
        self.assertTrue(faults(token_expires_in="soon"))
        self.assertTrue(faults(content_type="text/html"))
        self.assertTrue(faults(body=b'{"access_token": "x"}'))
        self.assertTrue(faults(body=answer.content.replace(b"Bearer", b"bearer")))

    def test_schemathesis_finds_nothing_at_the_callers_listener(self):
        self._schemathesis(self.server.origin, "--exclude-tag", "admin")

    def test_schemathesis_finds_nothing_where_callers_say_who_they_are(self):
        made = command.run(self.folder, "key", "new", "--id", "schemathesis")
        stanza = made.stderr if "[[access.api_keys]]" in made.stderr else made.stdout
        key = next(word for word in made.stdout.split() if word.startswith("tp_"))
        stanza = stanza[stanza.index("[[access.api_keys]]") :].replace(key, "")
        config = self.folder / "with-keys.toml"
        config.write_text(CONFIG + stanza)
        with command.Server(self.folder, config, seconds=900) as server:
            self._schemathesis(server.origin, "--include-path", "/getToken", "-H", f"X-API-Key: {key}")

    def test_schemathesis_finds_nothing_at_the_admin_listener(self):
        self._schemathesis(self.server.admin, "--include-tag", "admin")

    def _schemathesis(self, origin, *options):
        schema = self.folder / "openapi.json"
        schema.write_text(json.dumps(self.document.document))
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]
            + ["run", str(schema), "--url", origin, "--checks", "all", "--mode", "all"]
            + ["--max-examples", EXAMPLES, "--seed", SEED, "--generation-deterministic", "--no-color", *options],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        print(done.stdout[-2000:])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
