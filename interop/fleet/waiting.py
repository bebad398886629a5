"""Waiting for what has to become true, and files that change in one step."""

import time

PATIENCE = 60


def write_secret(path, text):
    """In one step, as it may be read just now."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(path)


def wait_until(moment):
    time.sleep(max(0, moment - time.monotonic()))


def wait_for(what, condition, limit=PATIENCE):
    """Waits until something holds, and returns it."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {limit} s for {what}"
        time.sleep(0.05)
    return found
