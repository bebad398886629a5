"""Resident memory: after the first token, under load, and with ten thousand connections that say nothing."""

import os
import subprocess
import time

import wrk
from contenders import NAMES, PATH, PROGRAM, answer_of
from plots import chart
from report import Bar, Section
from stats import median, text

NAME = "memory"
TITLE = "Memory, and the size of the program"
ROUNDS, LOAD_SECONDS = 3, 3
CONNECTIONS = 10_000
MIB = 2**20


def estimate(bench):
    return 4 * bench.rounds(ROUNDS) * 8


def measure(bench):
    connections = min(CONNECTIONS, bench.most_connections)
    figures = {name: {"start": [], "load": [], "idle": []} for name in NAMES}
    for number in range(bench.rounds(ROUNDS)):
        for name, values in figures.items():
            bench.progress.step(f"round {number + 1}, {NAMES[name]}", 8)
            one(bench, name, values, connections)
    rows, lines = [], []
    for name, values in figures.items():
        start, load, idle = (median(values[key]) for key in ("start", "load", "idle"))
        each = (idle - start) / connections
        rows.append([NAMES[name], *(text(value, "bytes") for value in (start, load, idle, each))])
        lines.append((NAMES[name], values["idle"], name == "ours"))
    start, load, idle = (max(figures["ours"][key]) for key in ("start", "load", "idle"))
    size = os.path.getsize(PROGRAM)
    count = f"{connections:,} idle connections"
    return Section(
        NAME,
        TITLE,
        f"Resident memory of all processes of a server, each started anew: when its first token has been handed out, after "
        f"{LOAD_SECONDS} s of full load over 64 connections, and (another process) with {connections:,} connections on which "
        f"one request was answered. The bars are for the largest of the rounds. The program has {text(size, 'bytes')}.",
        ["", "after start", "under load", count, "each"],
        rows,
        [
            Bar("memory after start", "≤ 10 MiB", text(start, "bytes"), start <= 10 * MIB),
            Bar("memory under load", "≤ 16 MiB", text(load, "bytes"), load <= 16 * MIB),
            Bar(f"{count}, in all", "≤ 170 MiB", text(idle, "bytes"), idle <= 170 * MIB),
            Bar("size of the release binary", "≤ 12 MiB", text(size, "bytes"), size <= 12 * MIB),
        ],
        {"memory": chart(f"Memory with {count}", "bytes", lines)},
    )


def one(bench, name, values, connections):
    stable = bench.stable
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
    if name == "ours":
        return stable.ours()
    if name == "node":
        return stable.node()
    ours = stable.ours()
    answer = answer_of(ours)
    stable.stop(ours)
    return getattr(stable, name)(answer)
