"""Whether callers notice that the server is getting a new token."""

from contenders import NAMES, PATH
from plots import chart
from report import Bar, Section
from stats import median, spread, text

NAME = "refresh"
TITLE = "The slowest answer while a token is refreshed"
ROUNDS, SECONDS = 3, 16
# Usable for three seconds; then the next one, which takes its time.
EXPIRES_IN, DELAY_MS = 13, 300


def estimate(bench):
    return 2 * bench.rounds(ROUNDS) * (SECONDS + 1)


def measure(bench):
    stable = bench.stable
    during = {"ours": [], "node": []}
    steady = {"ours": [], "node": []}
    for number in range(bench.rounds(ROUNDS)):
        for name in during:
            bench.progress.step(f"round {number + 1}, {NAMES[name]}", SECONDS + 1)
            issuer = stable.issuer(EXPIRES_IN, DELAY_MS)
            server = stable.ours(issuer=issuer) if name == "ours" else stable.node(issuer)
            said = stable.load("refresh", server.port, PATH, SECONDS, DELAY_MS).json_line()
            during[name] += said["during_refresh"]
            steady[name] += said["steady"]
            stable.stop_all()
    rows = [
        [NAMES[name], f"{len(during[name])}", spread(during[name], "seconds"), spread(steady[name], "seconds")]
        for name in during
    ]
    ratio = median(during["ours"]) / median(steady["ours"])
    lines = [
        (f"{label}, {when}", values[name], name == "ours")
        for name, label in (("ours", "token-provider"), ("node", "Node"))
        for when, values in (("steady", steady), ("refresh", during))
    ]
    note = "the slowest answer of each window"
    return Section(
        NAME,
        TITLE,
        f"1,600 requests per second over 32 connections, at fixed times; tokens that are good for {EXPIRES_IN - 10} s, from an "
        f"issuer that takes {DELAY_MS} ms. Time is cut into windows as long as one refresh: the slowest answer in those in "
        "which there was a refresh, against the slowest in those in which there was none.",
        ["", "refreshes", "slowest during a refresh", "slowest in a quiet window"],
        rows,
        [Bar("slowest answer during a refresh", "≤ 2 × the steady state's", text(ratio, "ratio"), ratio <= 2)],
        {"refresh": chart("The slowest answer", "seconds", lines, note, logarithmic=True)},
    )
