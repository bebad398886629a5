"""A crowd that comes when no token is held: how often is HERE asked?"""

from contenders import NAMES
from report import Bar, Section
from stats import median, text

NAME = "burst"
TITLE = "A cold burst"
ROUNDS = 3
SIZES = (1_000, 10_000)
# As from another continent.
DELAY_MS = 200
# Not the one that token-provider fetches when it starts.
PATH = "/getToken?ttl=7200"
# For a machine that has much else to do.
PATIENCE = 120


def estimate(bench):
    return bench.rounds(ROUNDS) * 20


def measure(bench):
    sizes = [min(size, bench.most_connections) for size in SIZES]
    issued = {(name, size): [] for name in ("ours", "node") for size in sizes}
    took = {key: [] for key in issued}
    good = {key: [] for key in issued}
    for number in range(bench.rounds(ROUNDS)):
        for name, size in issued:
            bench.progress.step(f"round {number + 1}, {NAMES[name]}, {size:,} connections", 5)
            requests, said = one(bench.stable, name, size)
            issued[name, size].append(requests)
            took[name, size].append(said["seconds"])
            good[name, size].append(said["outcomes"].get("200", 0))
    rows = [
        [
            f"{NAMES[name]}, {size:,} connections",
            f"{min(counts):,} – {max(counts):,}" if min(counts) != max(counts) else f"{counts[0]:,}",
            f"{min(good[name, size]):,}",
            text(median(took[name, size]), "seconds"),
        ]
        for (name, size), counts in issued.items()
    ]
    worst = max(issued["ours", sizes[-1]])
    all_good = min(good["ours", sizes[-1]]) == sizes[-1]
    measured = f"{worst}" if all_good else f"{worst}, with {min(good['ours', sizes[-1]]):,} tokens"
    return Section(
        NAME,
        TITLE,
        f"Connections are opened first; then all clients ask at the same moment for a token that is not held. The "
        f"issuer takes {DELAY_MS} ms. The load generator runs on the same processors: the time until the last one has its "
        "answer is that of both.",
        ["", "requests to the issuer", "tokens handed out", "until the last answer"],
        rows,
        [Bar(f"requests to the issuer in a cold burst of {sizes[-1]:,}", "exactly 1", measured, worst == 1 and all_good)],
    )


def one(stable, name, size):
    issuer = stable.issuer(delay_ms=DELAY_MS)
    if name == "ours":
        port = stable.ours(issuer=issuer).port
    else:
        port = stable.cold_node(issuer)
    before = stable.issued(issuer)
    said = stable.load("burst", port, PATH, size).json_line(PATIENCE)
    requests = stable.issued(issuer) - before
    stable.stop_all()
    return requests, said
