"""Runs the tests in this folder, most of them at the same time: they spend it waiting for tokens to become due.

    run.py [NAME…]       only these: MODULE, MODULE.CLASS, or MODULE.CLASS.TEST

FLEET_LIFETIMES says over how many lifetimes of a token twenty servers are watched; default 10.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
AT_ONCE = 10
# In seconds, of one test.
LONGEST = 280
# These take all that two processors have.
BUSY = ("test_many.ManyCallers",)
# These take longest, and begin first.
LONG = (
    "test_many",
    "test_faults",
    "test_topologies.Sentinels",
    "test_records.KeyRotation",
    "test_lease",
    "test_records.Replay",
)


def main(names):
    wanted = [test.id() for test in tests(unittest.defaultTestLoader.loadTestsFromNames(names))]
    busy = [name for name in wanted if name.startswith(BUSY)]
    failed = [name for name in busy if not run(name)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        others = sorted((name for name in wanted if name not in busy), key=lambda name: not name.startswith(LONG))
        failed += [name for name, is_good in zip(others, pool.map(run, others), strict=True) if not is_good]
    print(
        f"{len(wanted) - len(failed)} of {len(wanted)} tests passed" + "".join(f"\nFAILED: {name}" for name in failed)
    )
    return 1 if failed or not wanted else 0


def tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests(test)
        else:
            yield test


def run(name):
    """Runs one test in a process of its own, and ends what it leaves behind. Returns whether it passed."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "unittest", name],
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # It is left to be waited for, so that the number of its group is nobody else's.
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while not os.waitid(os.P_PID, process.pid, look) and time.monotonic() < start + LONGEST:
            if is_over.wait(0.1):
                break
        os.killpg(process.pid, signal.SIGKILL)
        is_good = process.wait() == 0
        output.seek(0)
        print(f"{'ok' if is_good else 'FAILED'} {name} ({time.monotonic() - start:.0f} s)\n{output.read()}", flush=True)
    return is_good


is_over = threading.Event()

if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_over.set())
    sys.path[:0] = [str(HERE), str(HERE.parent / "python")]
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
    with tempfile.TemporaryDirectory() as folder:
        # Whoever builds meanwhile replaces the program.
        os.environ["TOKEN_PROVIDER_BIN"] = shutil.copy(os.environ["TOKEN_PROVIDER_BIN"], folder)
        code = main(sys.argv[1:] or sorted(path.stem for path in HERE.glob("test_*.py")))
    sys.exit(code)
