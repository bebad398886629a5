"""What a client costs that makes a new connection for its one request, with and without TLS."""

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
    cpu = {name: [] for name in servers}
    for server in servers.values():
        wrk.run(server, 1, CLOSE)
    for number in range(bench.rounds(ROUNDS)):
        bench.progress(NAME, number)
        for name, server in servers.items():
            cpu[name].append(wrk.run(server, SECONDS, CLOSE)["cpu"])
    handshakes = {name: minus(cpu[f"{name}, TLS"], cpu[name]) for name in ("token-provider", "nginx")}
    rows = [[name, text(median(values), "seconds"), compare(values, cpu["nginx"])[1]] for name, values in cpu.items()]
    rows += [
        [f"{name}, the handshake alone", text(median(values), "seconds"), compare(values, handshakes["nginx"])[1]]
        for name, values in handshakes.items()
    ]
    return Section(
        TITLE,
        "TLS 1.3 with X25519 and a P-256 certificate, each handshake a full one; “the handshake alone” is what TLS adds to "
        "the plain connection of the same round.",
        ["", "CPU per connection", "÷ nginx's"],
        rows,
        [
            Target.at_most(
                "CPU per new connection, ÷ hyper alone", 1.15, *compare(cpu["token-provider"], cpu["hyper alone"])
            ),
            Target.at_most("CPU per TLS handshake, ÷ nginx's", 1.25, *compare(*handshakes.values())),
        ],
    )


def minus(values, others):
    return [value - other for value, other in zip(values, others, strict=True)]
