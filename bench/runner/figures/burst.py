"""Many clients at once when no token is held: how many requests reach HERE?"""

from contenders import NAMES
from report import Section, Target
from stats import median, text

NAME = "burst"
TITLE = "Cold callers, all at once"
ROUNDS = 3
CONNECTIONS = 10_000
# As from another continent.
DELAY_MS = 200
# Not the one that token-provider requests when it starts.
PATH = "/getToken?ttl=7200"
# For a machine that has much else to do.
TIMEOUT = 120


def measure(bench):
    size = min(CONNECTIONS, bench.most_connections)
    issued, took, good = ({"open": [], "node": []} for _ in range(3))
    for number in range(bench.rounds(ROUNDS)):
        bench.progress(NAME, number)
        for name in issued:
            requests, said = one(bench.stable, name, size)
            issued[name].append(requests)
            took[name].append(said["seconds"])
            good[name].append(said["outcomes"].get("200", 0))
    rows = [
        [NAMES[name], f"{max(counts):,}", f"{min(good[name]):,}", text(median(took[name]), "seconds")]
        for name, counts in issued.items()
    ]
    all_good = min(good["open"]) == size
    worst = max(issued["open"])
    return Section(
        TITLE,
        f"{size:,} connections are opened first; then all clients ask at the same moment for a token that is not held. The "
        f"issuer takes {DELAY_MS} ms. The load generator runs on the same processors.",
        ["", "requests to the issuer", "tokens handed out", "until the last answer"],
        rows,
        [
            Target(
                f"requests to HERE for {size:,} cold callers",
                "1",
                f"{worst}" if all_good else f"{worst}, with {min(good['open']):,} tokens",
                worst == 1 and all_good,
            )
        ],
    )


def one(stable, name, size):
    issuer = stable.issuer(delay_ms=DELAY_MS)
    port = stable.ours(issuer=issuer).port if name == "open" else stable.cold_node(issuer)
    before = stable.issued(issuer)
    said = stable.load("burst", port, PATH, size).json_line(TIMEOUT)
    requests = stable.issued(issuer) - before
    stable.stop_all()
    return requests, said
