"""From exec to the first token, with an issuer that answers at once."""

import json
import os
import subprocess

from contenders import LOAD, NAMES, NODE_ENV, PATH
from processes import Failure, free_port
from report import Bar, Section
from stats import median, ratios, spread, text

NAME = "start"
TITLE = "From exec to the first token"
ROUNDS = 15


def estimate(bench):
    return bench.rounds(ROUNDS) * 0.7 + 1


def measure(bench):
    stable = bench.stable
    issuer = stable.issuer()
    times = {"ours": [], "node": []}
    for number in range(bench.rounds(ROUNDS) + 1):
        bench.progress.step(f"round {number}", 0.7)
        for name in times:
            port = free_port()
            if name == "ours":
                command, env = stable.ours_command(port, "", issuer), {}
            else:
                command, env = stable.node_command(port, issuer), NODE_ENV
            seconds = start(port, command, env)
            # The first time the program comes from the disk.
            if number > 0:
                times[name].append(seconds)
    ratio = median(ratios(times["node"], times["ours"]))
    ours = median(times["ours"])
    rows = [[NAMES[name], spread(values, "seconds")] for name, values in times.items()]
    return Section(
        NAME,
        TITLE,
        "A client connects again and again (every 0.2 ms or so) until it has its token; the issuer answers at once.",
        ["", "exec to first token"],
        rows,
        [
            Bar("exec to first token", "≤ 10 ms", text(ours, "seconds"), ours <= 0.010),
            Bar("… against Node", "≥ 20 × faster", text(ratio, "ratio"), ratio >= 20),
        ],
    )


def start(port, command, env):
    env = {"PATH": os.environ["PATH"], **env}
    args = [LOAD, "start", port, PATH, *command]
    done = subprocess.run([str(arg) for arg in args], env=env, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise Failure(f"{command}: {done.stderr}")
    return json.loads(done.stdout)["seconds"]
