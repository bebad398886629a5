"""Resident memory: after the first token, under load, and with ten thousand idle connections."""

import subprocess
import time

import wrk
from contenders import NAMES, PATH, answer_of
from report import Section, Target
from stats import median, text

NAME = "memory"
TITLE = "Memory"
ROUNDS, LOAD_SECONDS = 3, 3
CONNECTIONS = 10_000
MIB = 2**20


def measure(bench):
    connections = min(CONNECTIONS, bench.most_connections)
    figures = {name: {"start": [], "load": [], "idle": []} for name in ("open", "nginx", "hyper", "node")}
    for number in range(bench.rounds(ROUNDS)):
        bench.progress(NAME, number)
        for name, values in figures.items():
            one(bench.stable, name, values, connections)
    rows = [
        [NAMES[name], *(text(median(values[key]), "bytes") for key in ("start", "load", "idle"))]
        for name, values in figures.items()
    ]
    start, idle = (max(figures["open"][key]) for key in ("start", "idle"))
    count = f"{connections:,} idle connections"
    return Section(
        TITLE,
        f"Of all processes of a server, each started for this: when its first token has been handed out, after {LOAD_SECONDS} s "
        f"of full load over 64 connections, and (another process) with {connections:,} connections on which one request was "
        "answered. The targets are for the largest of the rounds.",
        ["", "after start", "under load", count],
        rows,
        [
            Target.at_most("memory after start", 10 * MIB, start, text(start, "bytes"), wanted="10 MiB"),
            Target.at_most(f"memory with {count}", 170 * MIB, idle, text(idle, "bytes"), wanted="170 MiB"),
        ],
    )


def one(stable, name, values, connections):
    server = start(stable, name)
    time.sleep(0.3)
    values["start"].append(server.process.resident_bytes())
    wrk.run(server, LOAD_SECONDS)
    values["load"].append(server.process.resident_bytes())
    stable.stop(server)
    server = start(stable, name)
    idle = stable.load("idle", server.port, PATH, connections, stdin=subprocess.PIPE)
    idle.json_line(120)
    values["idle"].append(server.process.resident_bytes())
    stable.stop_all()


def start(stable, name):
    if name == "open":
        return stable.ours()
    if name == "node":
        return stable.node()
    ours = stable.ours()
    answer = answer_of(ours)
    stable.stop(ours)
    return getattr(stable, name)(answer)
