"""From exec to the first token, with an issuer that answers at once."""

import json
import os
import subprocess

from contenders import LOAD, NAMES, NODE_ENV, PATH
from processes import Failure, free_port
from report import Section, Target
from stats import compare, median, text

NAME = "start"
TITLE = "From exec to the first token"
ROUNDS = 15
# 10 ms on a machine on which Node takes 125 ms.
TIMES_FASTER = 12.5


def measure(bench):
    stable = bench.stable
    issuer = stable.issuer()
    times = {"open": [], "node": []}
    for number in range(bench.rounds(ROUNDS) + 1):
        bench.progress(NAME, number)
        for name in times:
            port = free_port()
            if name == "open":
                command, env = stable.ours_command(port, "", issuer), {}
            else:
                command, env = stable.node_command(port, issuer), NODE_ENV
            seconds = start(port, command, env)
            # The first time the program comes from the disk.
            if number > 0:
                times[name].append(seconds)
    return Section(
        TITLE,
        "A client connects again and again (every 0.2 ms or so) until it has its token; the issuer answers at once.",
        ["", "exec to first token"],
        [[NAMES[name], text(median(values), "seconds")] for name, values in times.items()],
        [Target.at_least("exec to first token, times faster than Node", TIMES_FASTER, *compare(*reversed(times.values())))],
    )


def start(port, command, env):
    env = {"PATH": os.environ["PATH"], **env}
    args = [LOAD, "start", port, PATH, *command]
    done = subprocess.run([str(arg) for arg in args], env=env, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise Failure(f"{command}: {done.stderr}")
    return json.loads(done.stdout)["seconds"]
