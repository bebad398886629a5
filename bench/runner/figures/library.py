"""What a held token costs inside a program, beside another public cache; and what one signature costs."""

import json
import os
import subprocess
from pathlib import Path

from contenders import BENCH
from plots import chart
from processes import Failure
from report import Bar, Section
from stats import median, ratios, spread, text

NAME = "library"
TITLE = "The library alone"
# Many short rounds: some machines change their speed from one second to the next.
ROUNDS = 15
WARM_UP, SECONDS, SAMPLES = 0.2, 0.6, 20
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", "target"))

OURS, OURS_TWICE = "provider.token()", "provider.token(), two threads"
OTHER, OTHER_TWICE = "google-cloud-auth", "google-cloud-auth, two threads"
SIGNATURE = "signature"


def estimate(bench):
    # Building takes much longer the first time.
    return bench.rounds(ROUNDS) * 8 + 30


def measure(bench):
    bench.progress.step("building", 30)
    other = ["--manifest-path", str(BENCH / "load/Cargo.toml"), "--bench", "google"]
    ours = ["--package", "token-provider", "--bench", "token"]
    for args in (ours, other):
        cargo_bench(*args, "--no-run")
    times = {name: [] for name in (OURS, OURS_TWICE, OTHER, OTHER_TWICE, SIGNATURE)}
    for number in range(bench.rounds(ROUNDS)):
        bench.progress.step(f"round {number + 1}", 8)
        for args, names in ((ours, "^(provider|signature)"), (other, "^google")):
            short = ["--warm-up-time", WARM_UP, "--measurement-time", SECONDS, "--sample-size", SAMPLES]
            cargo_bench(*args, "--", *short, names)
        for name, values in times.items():
            values.append(estimate_of(name))
    rows = [[name, spread(values, "seconds")] for name, values in times.items()]
    alone, slower = median(times[OURS]), median(ratios(times[OURS_TWICE], times[OURS]))
    lines = [(name, values, name.startswith("provider")) for name, values in times.items() if name != SIGNATURE]
    return Section(
        NAME,
        TITLE,
        "Medians by criterion, in many short rounds. “Two threads” is the time that each call takes while another thread "
        "does the same on the other processor. google-cloud-auth has a like task, a held token of a metadata server on this "
        "machine; it gives it as a new `String`. A signature is HMAC-SHA256 over the base string, with nonce and header.",
        ["", "each"],
        rows,
        [
            Bar("`provider.token()`", "≤ 50 ns", text(alone, "seconds"), alone <= 50e-9),
            Bar("… from two threads", "no slower", text(slower, "ratio"), slower <= 1.1),
        ],
        {"library": chart("A held token in the library", "seconds", lines)},
    )


def cargo_bench(*args):
    # The target folder of the program for both: they share what they can.
    args = [str(arg) for arg in args]
    done = subprocess.run(["cargo", "bench", "--locked", *args], cwd=BENCH.parent, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"cargo bench: {done.stderr[-2000:]}")


def estimate_of(name):
    """The median in seconds. Criterion's folders have names of its own making."""
    folders = [path for path in (TARGET / "criterion").iterdir() if (path / "new/benchmark.json").exists()]
    for folder in folders:
        if json.loads((folder / "new/benchmark.json").read_text())["full_id"] == name:
            return json.loads((folder / "new/estimates.json").read_text())["median"]["point_estimate"] / 1e9
    raise Failure(f"{name}: was not measured")
