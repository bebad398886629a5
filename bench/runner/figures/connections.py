"""What a client costs that makes a new connection for its one request, with and without TLS."""

import connecting
import wrk
from contenders import answer_of
from report import Section, Target
from stats import compare, median, text

NAME = "connections"
TITLE = "A new connection with one request"
ROUNDS, SECONDS = 15, 2
CLOSE = (("Connection", "close"),)


def measure(bench):
    stable = bench.stable
    key, certificate = stable.certificate()
    ours = stable.ours()
    answer = answer_of(ours)
    servers = {
        "token-provider": ours,
        "hyper alone": stable.hyper(answer),
        "nginx": stable.nginx(answer),
        "token-provider, TLS": stable.ours(
            f'[audit]\nto = "off"\n[tls]\ncert = "{certificate}"\nkey = "{key}"\n', scheme="https"
        ),
        "nginx, TLS": stable.nginx(answer, tls=True),
    }
    cpu = {name: [] for name in ("token-provider", "hyper alone", "nginx")}
    handshakes = {name: [] for name in ("token-provider", "nginx")}
    for name in cpu:
        wrk.run(servers[name], 1, CLOSE)
    for number in range(bench.rounds(ROUNDS)):
        bench.progress(NAME, number)
        for name, values in cpu.items():
            values.append(wrk.run(servers[name], SECONDS, CLOSE)["cpu"])
        for name, values in handshakes.items():
            plain = connecting.run(servers[name], SECONDS)
            values.append(connecting.run(servers[f"{name}, TLS"], SECONDS) - plain)
    rows = [[name, text(median(values), "seconds"), compare(values, cpu["nginx"])[1]] for name, values in cpu.items()]
    rows += [
        [f"{name}, what TLS adds", text(median(values), "seconds"), compare(values, handshakes["nginx"])[1]]
        for name, values in handshakes.items()
    ]
    return Section(
        TITLE,
        "TLS 1.3 with X25519 and a P-256 certificate, each handshake a full one, by a client that opens four connections at a time; "
        "what it adds to plain connections from the same client.",
        ["", "CPU per connection", "÷ nginx's"],
        rows,
        [
            Target.at_most(
                "CPU per new connection, ÷ hyper alone", 1.15, *compare(cpu["token-provider"], cpu["hyper alone"])
            ),
            Target.at_most("CPU per TLS handshake, ÷ nginx's", 1.25, *compare(*handshakes.values())),
        ],
    )

