"""A store: a restart while the issuer is away, and a store that hangs."""

import base64
import os
import signal
import socket
import time

import wrk
from figures.start import start
from processes import TIMEOUT, Failure, free_port
from report import Section, Target
from stats import compare, median, text

NAME = "store"
TITLE = "A store for tokens"
RESTARTS, ROUNDS, SECONDS = 15, 8, 3
# What a user notices of a restart.
SOON = 0.05
# Usable for three seconds: the store is needed all the time.
EXPIRES_IN = 13
OPEN = '[audit]\nto = "off"\n'
FOLDER, VALKEY = "from a folder", "from Redis"


def measure(bench):
    restarts = measure_restarts(bench)
    without, hanging = measure_hanging(bench)
    ratio, shown = compare(hanging, without)
    rows = [[f"exec to first token, {where}", text(median(values), "seconds")] for where, values in restarts.items()]
    rows += [
        ["p99 of a handout without a store", text(median(without), "seconds")],
        ["… with one that hangs", text(median(hanging), "seconds")],
    ]
    targets = [
        Target.at_most(f"exec to first token, {where}", SOON, median(values), text(median(values), "seconds"), "50 ms")
        for where, values in restarts.items()
    ]
    return Section(
        TITLE,
        "Restarts while the issuer is away, with the token of the process before: a client connects again and again, as above. "
        "And p99 of handouts as at the top, by servers whose token is refreshed about once in three seconds: without a store, and "
        "with a Redis that was stopped (SIGSTOP) in the middle of things.",
        ["", "time"],
        rows,
        [*targets, Target.at_most("p99 of a handout with a store that hangs, ÷ without one", 1.25, ratio, shown)],
    )


def measure_restarts(bench):
    stable = bench.stable
    # Of its own: it is stopped before the restarts.
    issuer = stable.issuer(expires_in=86_399)
    places = {FOLDER: f"file:{stable.path('store')}", VALKEY: start_valkey(stable)[1]}
    configs = {where: OPEN + config_of(stable, url) for where, url in places.items()}
    for config in configs.values():
        stable.stop(stable.ours(config, issuer=issuer))
    stable.stop_issuers()
    times = {where: [] for where in configs}
    for number in range(bench.rounds(RESTARTS) + 1):
        bench.progress(f"{NAME}, restarts", number)
        for where, config in configs.items():
            port = free_port()
            seconds = start(port, stable.ours_command(port, config, issuer), {})
            # The first time the program comes from the disk.
            if number > 0:
                times[where].append(seconds)
    stable.stop_all()
    return times


def measure_hanging(bench):
    """Returns p99 of each round: without a store, and with one that hangs."""
    stable = bench.stable
    valkey, url = start_valkey(stable)
    issuer = stable.issuer(expires_in=EXPIRES_IN)
    servers = [stable.ours(OPEN + more, issuer=issuer) for more in ("", config_of(stable, url))]
    os.kill(valkey.child.pid, signal.SIGSTOP)
    try:
        found = [[], []]
        for number in range(bench.rounds(ROUNDS)):
            bench.progress(f"{NAME}, hanging", number)
            for server, values in zip(servers, found, strict=True):
                values.append(wrk.run(server, SECONDS)["p99"])
    finally:
        # It could not be ended otherwise.
        os.kill(valkey.child.pid, signal.SIGCONT)
    stable.stop_all()
    return found


def config_of(stable, url):
    keys = stable.path("store.keys")
    keys.write_text("".join(f"{name} = {base64.b64encode(os.urandom(32)).decode()}\n" for name in ("k1", "index")))
    keys.chmod(0o600)
    return f'[store]\nurl = "{url}"\nkey_file = "{keys}"\n'


def start_valkey(stable):
    """Debian's Redis, which answers, and its URL."""
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"]
    process = stable.start(command, "redis")
    deadline = time.monotonic() + TIMEOUT
    while not answers(port):
        process.expect_running()
        if time.monotonic() > deadline:
            raise Failure("redis-server does not answer")
        time.sleep(0.02)
    return process, f"redis://127.0.0.1:{port}"


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
