"""The usual request: a token that is held is handed out again and again."""

import wrk
from contenders import NAMES
from report import Section, Target
from stats import compare, median, text

NAME = "handout"
TITLE = "Handout of a held token"
ROUNDS, SECONDS = 15, 2


def measure(bench):
    servers = bench.stable.usual()
    for server in servers.values():
        wrk.run(server, 1)
    samples = {name: [] for name in servers}
    for number in range(bench.rounds(ROUNDS)):
        bench.progress(NAME, number)
        for name, server in servers.items():
            samples[name].append(wrk.run(server, SECONDS))
    cpu = {name: [sample["cpu"] for sample in taken] for name, taken in samples.items()}
    rows = [
        [
            NAMES[name],
            text(median(cpu[name]), "seconds"),
            compare(cpu[name], cpu["nginx"])[1],
            text(median(sample["rate"] for sample in taken), "rate"),
            text(median(sample["p99"] for sample in taken), "seconds"),
        ]
        for name, taken in samples.items()
    ]
    return Section(
        TITLE,
        "A token of 800 bytes over 64 connections that are kept alive. All servers send the same headers and body. "
        "“Open” has no access rules and no audit trail, like the other servers; by default each handout is also a line "
        "of the audit trail in the log, here a file.",
        ["", "CPU per request", "÷ nginx's", "requests per second", "p99"],
        rows,
        [
            Target.at_most("CPU per handout, ÷ nginx's", 1.15, *compare(cpu["open"], cpu["nginx"])),
            Target.at_most("… with default settings", 1.35, *compare(cpu["default"], cpu["nginx"])),
        ],
    )
