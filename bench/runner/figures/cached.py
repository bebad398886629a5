"""The hot path: a token that is held is handed out again and again."""

import wrk
from contenders import NAMES
from plots import chart
from report import Bar, Section
from stats import median, ratios, spread, text

NAME = "cached"
TITLE = "Cached handout"
ROUNDS, SECONDS = 9, 3
LATENCIES = {"p50": "p50", "p99": "p99", "p999": "p99.9"}


def estimate(bench):
    return 5 * bench.rounds(ROUNDS) * (SECONDS + 0.3) + 6


def measure(bench):
    bench.progress.step("starting", 6)
    servers = bench.stable.usual()
    for server in servers.values():
        wrk.run(server, 1)
    samples = {name: [] for name in servers}
    for number in range(bench.rounds(ROUNDS)):
        for name, server in servers.items():
            bench.progress.step(f"round {number + 1}, {NAMES[name]}", SECONDS + 0.3)
            samples[name].append(wrk.run(server, SECONDS))
    return section(samples)


def section(samples):
    of = {
        name: {key: [sample[key] for sample in taken] for key in taken[0]}
        for name, taken in samples.items()
    }
    ours = of["ours"]

    def against(name, key):
        return median(ratios(ours[key], of[name][key]))

    rows = [
        [
            NAMES[name],
            spread(figures["rate"], "rate"),
            text(against(name, "rate"), "ratio"),
            spread(figures["cpu"], "seconds"),
            text(against(name, "cpu"), "ratio"),
            *(text(median(figures[key]), "seconds") for key in LATENCIES),
        ]
        for name, figures in of.items()
    ]
    node, nginx = against("node", "rate"), against("nginx", "rate")
    cpu_nginx, cpu_floor, p99 = against("nginx", "cpu"), against("floor", "cpu"), against("nginx", "p99")
    bars = [
        Bar("cached handouts per second, against Node", "≥ 16 ×", text(node, "ratio"), node >= 16),
        Bar("… against nginx", "≥ 1.1 ×", text(nginx, "ratio"), nginx >= 1.1),
        Bar("CPU per cached handout, against nginx", "≤ 0.95 ×", text(cpu_nginx, "ratio"), cpu_nginx <= 0.95),
        Bar("… against the floor", "≤ 1.10 ×", text(cpu_floor, "ratio"), cpu_floor <= 1.10),
        Bar("p99 at 64 connections, against nginx", "≤ 0.25 ×", text(p99, "ratio"), p99 <= 0.25),
    ]
    note = "64 connections, wrk with one thread"

    def plot(title, unit, key, logarithmic=False):
        lines = [(NAMES[name], figures[key], name == "ours") for name, figures in of.items()]
        return chart(title, unit, lines, note, logarithmic=logarithmic)

    return Section(
        NAME,
        TITLE,
        "A held token of 800 bytes, over 64 connections kept alive. Everybody answers with the same token; nginx, hyper and "
        "the floor with token-provider's headers, too. “hyper alone” is the HTTP library that token-provider uses, with a "
        "canned answer: what it takes more than the floor is not token-provider's to save. "
        "Here token-provider lets in everybody and keeps no audit trail, as the others do; what those cost is in the next table. CPU is user and system time of all processes of a server. "
        "“×” is token-provider against the server of that line, as the median over the rounds.",
        ["", "requests/s", "×", "CPU per request", "×", *LATENCIES.values()],
        rows,
        bars,
        {
            "cached-rate": plot("Cached handouts per second", "rate", "rate"),
            "cached-cpu": plot("CPU time per cached handout", "seconds", "cpu", logarithmic=True),
            "cached-p99": plot("Slowest of a hundred answers (p99)", "seconds", "p99", logarithmic=True),
        },
    )
