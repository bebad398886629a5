"""What machine this is, and what ran on it."""

import json
import os
import platform
import re
import subprocess
import time

from contenders import BENCH, PROGRAM


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip()


def first(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else "?"


def package(name):
    lock = json.loads((BENCH / "node-server/package-lock.json").read_text())
    return lock["packages"][f"node_modules/{name}"]["version"]


def describe():
    with open("/proc/cpuinfo") as file:
        model = first(r"^model name\s*: (.*)$", file.read())
    with open("/proc/meminfo") as file:
        memory = int(first(r"^MemTotal:\s*(\d+)", file.read())) / 2**20
    busy = os.getloadavg()[2] / (os.cpu_count() or 1)
    with open("/etc/os-release") as file:
        system = first(r'^PRETTY_NAME="(.*)"$', file.read())
    ours, rust = first(r"(\S+)$", said(PROGRAM, "--version")), first(r"^(rustc \S+)", said("rustc", "--version"))
    express, sdk = package("express"), package("@here/olp-sdk-authentication")
    nginx, wrk = first(r"nginx/(\S+)", said("nginx", "-v")), first(r"wrk (\S+)", said("wrk", "-v"))
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}; {model}, {os.cpu_count()} logical processors, {memory:.0f} GiB; "
        f"Linux {platform.release()}, {system}; load over the last 15 minutes {busy:.1f} per processor, that of the measuring "
        f"included. token-provider {ours}, {rust}; Node {said('node', '--version')}, Express {express}, "
        f"@here/olp-sdk-authentication {sdk}; nginx {nginx}; wrk {wrk}."
    )
