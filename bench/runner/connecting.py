"""New connections with one request each, and what the contender's processes spent on them. Not by wrk, which resumes sessions of TLS,
so that nobody signs anything."""

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

from contenders import PATH
from processes import TIMEOUT, Failure

THREADS = 4


def run(server, seconds):
    """Processor time of one connection, from threads that open one after the other."""
    context = None
    if server.url.startswith("https:"):
        context = ssl._create_unverified_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_ecdh_curve("X25519")
    before = server.process.cpu_seconds()
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(THREADS) as pool:
        count = sum(pool.map(lambda _: count_until(end, server.port, context), range(THREADS)))
    return (server.process.cpu_seconds() - before) / count


def count_until(end, port, context):
    count = 0
    while time.monotonic() < end:
        connect(port, context)
        count += 1
    return count


def connect(port, context):
    stream = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    if context:
        stream = context.wrap_socket(stream)
    with stream:
        stream.sendall(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: stream.recv(65536), b""))
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise Failure(f"port {port} answers {answer[:40]}")
