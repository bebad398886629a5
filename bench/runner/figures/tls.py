"""What TLS costs: for each request on a connection that stays open, and for each new connection."""

import wrk
from contenders import answer_of
from report import Section
from stats import median, ratios, spread, text

NAME = "tls"
TITLE = "What TLS costs"
ROUNDS, SECONDS = 5, 2
CLOSE = (("Connection", "close"),)


def estimate(bench):
    return 8 * bench.rounds(ROUNDS) * (SECONDS + 0.3) + 3


def measure(bench):
    bench.progress.step("starting", 3)
    stable = bench.stable
    key, certificate = stable.certificate()
    off = '[audit]\nto = "off"\n'
    ours = stable.ours(off)
    answer = answer_of(ours)
    servers = {
        "token-provider, plain": ours,
        "token-provider, TLS": stable.ours(f'{off}[tls]\ncert = "{certificate}"\nkey = "{key}"\n', scheme="https"),
        "nginx, plain": stable.nginx(answer),
        "nginx, TLS": stable.nginx(answer, tls=True),
    }
    kept = {name: [] for name in servers}
    new = {name: [] for name in servers}
    for number in range(bench.rounds(ROUNDS)):
        for name, server in servers.items():
            bench.progress.step(f"round {number + 1}, {name}", 2 * (SECONDS + 0.3))
            kept[name].append(wrk.run(server, SECONDS)["cpu"])
            new[name].append(wrk.run(server, SECONDS, CLOSE)["cpu"])
    rows = []
    for name in servers:
        plain = name.replace("TLS", "plain")
        rows.append(
            [
                name,
                spread(kept[name], "seconds"),
                text(median(ratios(kept[name], kept[plain])), "ratio"),
                spread(new[name], "seconds"),
                text(median(ratios(new[name], new[plain])), "ratio"),
            ]
        )
    return Section(
        NAME,
        TITLE,
        "TLS 1.3 with a P-256 certificate; CPU per request on connections kept alive, and with a new connection (and full "
        "handshake) for each request.",
        ["", "kept alive", "× plain", "new connection", "× plain"],
        rows,
    )
