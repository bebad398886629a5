"""Callers: those who ask again and again over one connection, and very many who ask at once."""

import http.client
import json
import multiprocessing
import os
import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass

# Longer than a caller may have to wait.
PATIENCE = 15
# Sockets of one process: not all systems allow more than 4,096 files.
SOCKETS = 2_500


@dataclass(frozen=True)
class Handout:
    """What a caller got, and when; status 0 is no response."""

    at: float
    server: str
    status: int
    token: str
    took: float


class Caller:
    """One that keeps its connection."""

    def __init__(self, origin):
        self._origin = origin
        self._connection = _connect(origin)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def ask(self, kind):
        start = time.monotonic()
        status, token = 0, ""
        try:
            self._connection.request("GET", f"/getToken?ttl={kind}")
            response = self._connection.getresponse()
            status, token = response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            # The next request opens another.
            self._connection.close()
        now = time.monotonic()
        return Handout(now, self._origin, status, token, now - start)


def ask(origin, kind):
    with Caller(origin) as caller:
        return caller.ask(kind)


def _connect(origin):
    return http.client.HTTPConnection(origin.removeprefix("http://"), timeout=PATIENCE)


def send(origin, method, path, body=None, kind="application/json"):
    """Returns the text of a successful response."""
    connection = _connect(origin)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": kind} if body else {})
        response = connection.getresponse()
        text = response.read().decode()
        assert 200 <= response.status < 300, f"{method} {path}: {response.status} {text}"
        return text
    finally:
        connection.close()


def get(origin, path):
    return send(origin, "GET", path)


def get_json(origin, path):
    return json.loads(get(origin, path))


def put_json(origin, path, value):
    send(origin, "PUT", path, json.dumps(value))


def report(origin, token):
    """Says that a service has refused this token."""
    send(origin, "POST", "/oauth2/revoke", f"token={token}", "application/x-www-form-urlencoded")


def ask_at_once(origins, each, kind):
    """Connects `each` callers to each of the servers, and then lets all of them ask.

    Returns how many got which status and token, and how long the last one waited.
    """
    fork = multiprocessing.get_context("fork")
    connected, go, results = fork.Semaphore(0), fork.Event(), fork.SimpleQueue()
    batch = max(1, SOCKETS // len(origins))
    sizes = [min(batch, each - done) for done in range(0, each, batch)]
    crowds = [fork.Process(target=_crowd, args=(origins, size, kind, connected, go, results)) for size in sizes]
    for crowd in crowds:
        crowd.start()
    try:
        for _ in crowds:
            assert connected.acquire(timeout=PATIENCE), "the callers cannot connect"
        go.set()
        counts, longest = Counter(), 0
        for _ in crowds:
            count, took = results.get()
            counts += count
            longest = max(longest, took)
        return counts, longest
    finally:
        for crowd in crowds:
            crowd.kill()
            crowd.join()


def _crowd(origins, each, kind, connected, go, results):
    # What it takes from the machine must not be what a server lacks.
    os.nice(5)
    places = [origin.removeprefix("http://").rpartition(":") for origin in origins]
    requests = [
        f"GET /getToken?ttl={kind} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode() for host, _, port in places
    ]
    sockets = [
        (socket.create_connection((host, int(port)), PATIENCE), request)
        for _ in range(each)
        for (host, _, port), request in zip(places, requests, strict=True)
    ]
    connected.release()
    go.wait()
    start = time.monotonic()
    waiting = selectors.DefaultSelector()
    for caller, request in sockets:
        caller.sendall(request)
        waiting.register(caller, selectors.EVENT_READ, bytearray())
    counts = Counter()
    while waiting.get_map() and time.monotonic() < start + PATIENCE:
        for key, _ in waiting.select(1):
            data = key.fileobj.recv(65536)
            key.data.extend(data)
            result = _response(key.data) if data else (0, "")
            if result:
                counts[result] += 1
                waiting.unregister(key.fileobj)
    took = time.monotonic() - start
    counts[(0, "")] += len(waiting.get_map())
    results.put((+counts, took))
    for caller, _ in sockets:
        caller.close()


def _response(data):
    """Returns status and body, if they are whole."""
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    length = next((field.partition(":")[2] for field in fields if field.lower().startswith("content-length:")), None)
    if length is None or len(body) < int(length):
        return None
    return int(status.split()[1]), body.decode()
