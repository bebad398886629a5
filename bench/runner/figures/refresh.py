"""Whether callers notice that the server is requesting a new token."""

from contenders import NAMES, PATH
from report import Section, Target
from stats import median, text

NAME = "refresh"
TITLE = "The slowest answer while a token is refreshed"
ROUNDS, SECONDS = 3, 16
# Usable for three seconds; then the next one, which takes its time.
EXPIRES_IN, DELAY_MS = 13, 300


def measure(bench):
    stable = bench.stable
    during, steady = ({"open": [], "node": []} for _ in range(2))
    for number in range(bench.rounds(ROUNDS)):
        bench.progress(NAME, number)
        for name in during:
            issuer = stable.issuer(EXPIRES_IN, DELAY_MS)
            server = stable.ours(issuer=issuer) if name == "open" else stable.node(issuer)
            said = stable.load("refresh", server.port, PATH, SECONDS, DELAY_MS).json_line()
            during[name] += said["during_refresh"]
            steady[name] += said["steady"]
            stable.stop_all()
    rows = [
        [NAMES[name], f"{len(during[name])}", *(text(median(values), "seconds") for values in (during[name], steady[name]))]
        for name in during
    ]
    ratio = median(during["open"]) / median(steady["open"])
    return Section(
        TITLE,
        f"1,600 requests per second over 32 connections, at fixed times; tokens that are good for {EXPIRES_IN - 10} s, from an "
        f"issuer that takes {DELAY_MS} ms. Time is cut into windows as long as one refresh: medians of the slowest answer of "
        "windows with a refresh, and of windows without one.",
        ["", "refreshes", "slowest during a refresh", "slowest in a quiet window"],
        rows,
        [Target.at_most("slowest answer during a refresh, ÷ that of a quiet window", 1.25, ratio, text(ratio, "ratio"))],
    )
