"""wrk against a contender, and what the contender's processes spent on it."""

import json
import subprocess
from pathlib import Path

from processes import Failure

CONNECTIONS = 64
SCRIPT = Path(__file__).with_name("wrk.lua")


def run(server, seconds, headers=()):
    """One run with one thread. Returns wrk's figures, with the server's processor time for each request."""
    args = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--timeout", "10s"]
    for name, value in (*server.headers, *headers):
        args += ["--header", f"{name}: {value}"]
    before = server.process.cpu_seconds()
    done = subprocess.run([*args, "--script", SCRIPT, server.url], capture_output=True, text=True, timeout=seconds + 30)
    spent = server.process.cpu_seconds() - before
    if done.returncode != 0:
        raise Failure(f"wrk: {done.stderr or done.stdout}")
    sample = json.loads(done.stdout.splitlines()[-1])
    if sample["errors"] or not sample["requests"]:
        raise Failure(f"{server.url}: {sample['errors']} errors in {sample['requests']} requests")
    sample["rate"] = sample["requests"] / sample["seconds"]
    sample["cpu"] = spent / sample["requests"]
    server.tidy()
    return sample
