"""Asks the program in TOKEN_PROVIDER_BIN about itself."""

import os
import subprocess
import tempfile
from pathlib import Path


def run(*arguments: str, files: dict[str, str] | None = None) -> str:
    """Returns what it prints, run in a folder with these files and nothing else, without this machine's environment."""
    with tempfile.TemporaryDirectory(prefix="token-provider-docs-") as folder:
        for name, text in (files or {}).items():
            Path(folder, name).write_text(text, encoding="utf-8")
        done = subprocess.run(
            [os.environ["TOKEN_PROVIDER_BIN"], *arguments], cwd=folder, env={"HOME": folder}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )
    return done.stdout + done.stderr


def problems(toml: str) -> list[str]:
    """Returns what is wrong with the text of a configuration file, as `check` says it."""
    # Port 0 is always free, and the credential is good enough to be read.
    credential = "here.access.key.id = a\nhere.access.key.secret = b\nhere.token.endpoint.url = http://127.0.0.1:1/\n"
    lines = run("check", "--config", "c.toml", files={"c.toml": toml, "credentials.properties": credential}).splitlines()
    return [line.split("configuration: ", 1)[1] for line in lines if line.startswith("FAILURE  configuration: ")]
