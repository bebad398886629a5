"""Measures every figure and writes the report; see bench/run."""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import figures
import machine
import report
import wrk
from contenders import BENCH, NAMES, Stable
from processes import Failure

# Files that a process has open beside its connections.
OTHER_FILES = 200

INTRO = """# Results

Made by `bench/run`, which measures token-provider and what people would use instead in interleaved rounds, over loopback; the
load generator shares the processors with them. CPU is user and system time of all processes of a server. Values are medians over
the rounds; ratios are taken within each round, with the middle half of them in brackets. Times belong to the machine; ratios
travel better."""


class Bench:
    def __init__(self, stable, share):
        self.stable = stable
        self.share = share
        self.most_connections = raise_file_limit() - OTHER_FILES

    def progress(self, name, number):
        print(f"{time.strftime('%H:%M:%S')} {name}, round {number + 1}", file=sys.stderr, flush=True)

    def rounds(self, count):
        return max(2, round(count * self.share))


def raise_file_limit():
    """A connection is a file, here and in what is started from here. Returns how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 12_000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, PermissionError):
            print(f"only {hard} open files are allowed: fewer connections are measured", file=sys.stderr)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    elif soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def check(stable):
    """Every contender works for about a second."""
    for name, server in stable.usual().items():
        sample = wrk.run(server, 1)
        print(f"{NAMES[name]}: {sample['requests']:,} answers, none wrong")


def measure(bench, chosen):
    sections = []
    for figure in chosen:
        sections.append(figure.measure(bench))
        bench.stable.stop_all()
    return sections


def main():
    names = [figure.NAME for figure in figures.ALL]
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, below target/bench")
    parser.add_argument("--only", action="append", choices=names, help="one figure, below target/bench")
    parser.add_argument("--list", action="store_true", help="the names of the figures")
    parser.add_argument("--check", action="store_true", help="only see that every contender works")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{figure.NAME:10} {figure.TITLE}" for figure in figures.ALL))
        return
    with tempfile.TemporaryDirectory(prefix="token-provider-bench-") as folder, Stable(Path(folder)) as stable:
        # nginx's workers are another user.
        os.chmod(folder, 0o755)
        if options.check:
            return check(stable)
        chosen = [figure for figure in figures.ALL if not options.only or figure.NAME in options.only]
        sections = measure(Bench(stable, 0.34 if options.quick else 1), chosen)
    to_repository = not (options.quick or options.only)
    file = (BENCH if to_repository else Path(os.environ["CARGO_TARGET_DIR"]) / "bench") / "RESULTS.md"
    report.write(file, INTRO, machine.describe(), sections)
    print(report.targets(sections) if to_repository else file.read_text())
    print(f"\n{file}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"bench/run: {failure}")
    except KeyboardInterrupt:
        sys.exit("bench/run: stopped")
