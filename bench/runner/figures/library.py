"""What a held token costs inside a program, beside another public cache; and what one signature costs."""

import json
import os
import subprocess
from pathlib import Path

from contenders import BENCH
from plots import chart
from processes import Failure
from report import Bar, Section
from stats import text

NAME = "library"
TITLE = "The library alone"
WARM_UP, SECONDS = 1, 4
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", "target"))

OURS, OURS_TWICE = "provider.token()", "provider.token(), two threads"
OTHER, OTHER_TWICE = "google-cloud-auth", "google-cloud-auth, two threads"
SIGNATURE = "signature"


def estimate(bench):
    # Building takes as long again, and much longer the first time.
    return 5 * (WARM_UP + SECONDS + 2) + 30


def measure(bench):
    bench.progress.step("building", 30)
    other = ["--manifest-path", str(BENCH / "load/Cargo.toml"), "--bench", "google"]
    ours = ["--package", "token-provider", "--features", "bench", "--bench", "token"]
    for args in (ours, other):
        cargo_bench(*args, "--no-run")
    for args, count in ((ours, 3), (other, 2)):
        bench.progress.step("cargo bench " + args[-1], count * (WARM_UP + SECONDS + 2))
        cargo_bench(*args, "--", "--warm-up-time", str(WARM_UP), "--measurement-time", str(SECONDS))
    times = {name: estimates(name) for name in (OURS, OURS_TWICE, OTHER, OTHER_TWICE, SIGNATURE)}
    rows = [
        [name, f"{text(middle, 'seconds')} ({text(low, 'seconds')} – {text(high, 'seconds')})"]
        for name, (middle, low, high) in times.items()
    ]
    alone, together = times[OURS][0], times[OURS_TWICE][0]
    lines = [(name, list(values), name.startswith("provider")) for name, values in times.items() if name != SIGNATURE]
    return Section(
        NAME,
        TITLE,
        "By criterion, with its 95 % confidence interval. “Two threads” is the time that each call takes while another thread "
        "does the same on the other processor. google-cloud-auth has a like task, a held token of a metadata server on this "
        "machine; it gives it as a new `String`. A signature is HMAC-SHA256 over the base string, with nonce and header.",
        ["", "each"],
        rows,
        [
            Bar("`provider.token()`", "≤ 50 ns", text(alone, "seconds"), alone <= 50e-9),
            Bar("… from two threads", "no slower", text(together, "seconds"), together <= alone * 1.1),
        ],
        {"library": chart("A held token in the library", "seconds", lines)},
    )


def cargo_bench(*args):
    # The target folder of the program for both: they share what they can.
    done = subprocess.run(["cargo", "bench", "--locked", *args], cwd=BENCH.parent, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"cargo bench: {done.stderr[-2000:]}")


def estimates(name):
    """Median and confidence interval in seconds. Criterion's folders have names of its own making."""
    folders = [path for path in (TARGET / "criterion").iterdir() if (path / "new/benchmark.json").exists()]
    for folder in folders:
        if json.loads((folder / "new/benchmark.json").read_text())["full_id"] == name:
            median = json.loads((folder / "new/estimates.json").read_text())["median"]
            interval = median["confidence_interval"]
            bounds = (median["point_estimate"], interval["lower_bound"], interval["upper_bound"])
            return tuple(value / 1e9 for value in bounds)
    raise Failure(f"{name}: was not measured")
