#!/usr/bin/env python3
"""What packages say of themselves. It is written down once, in the workspace's Cargo.toml; everything that makes a package asks here.

    deploy/metadata.py version | repository | published     prints it
    deploy/metadata.py targets | missing                    prints the Rust targets of a release; the platforms that it has no program for
    deploy/metadata.py labels                               prints the image's labels, one a line
    deploy/metadata.py workflow                             prints what the release's workflow asks for, as outputs of its job
"""

import email.utils
import functools
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
CHANNELS = ("npm", "pypi", "crates.io", "image", "releases")


@functools.cache
def _workspace():
    command = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout)


def server():
    """The package of the program, as Cargo knows it: `version`, `license`, `description`, `keywords`, `repository`, …"""
    [package] = [each for each in _workspace()["packages"] if each["name"] == "token-provider-server"]
    repository = package["repository"]
    if repository and not repository.startswith("https://"):
        sys.exit(f"Cargo.toml: repository = {repository!r}: expected an address that begins with https://")
    return package


def author():
    """Name and address of the first one."""
    return email.utils.parseaddr(server()["authors"][0])


def release():
    """The table [workspace.metadata.release]."""
    table = _workspace()["metadata"]["release"]
    unknown = [each for each in table["published"] if each not in CHANNELS]
    if unknown:
        sys.exit(f"Cargo.toml: published has {', '.join(unknown)}: expected some of {', '.join(CHANNELS)}")
    if table["published"] and not server()["repository"]:
        sys.exit("Cargo.toml: published names a channel, but repository is empty: what is published has to say where it comes from")
    return table


def platforms():
    """Those that a release has a program for, and those that it has none for yet."""
    table = release()["platforms"]
    return [each for each in table if each["released"]], [each for each in table if not each["released"]]


def platform(target):
    """The row of a Rust target, or None."""
    return next((each for each in release()["platforms"] if each["target"] == target), None)


def in_words(rows):
    """The platforms as a text names them."""
    names = [each["name"] for each in rows]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def without_program(rows):
    """A sentence about the platforms without one."""
    if not rows:
        return "On others, build it from its source, with Rust."
    return f"There is none yet for {in_words(rows)}: there, and on others, build it from its source, with Rust."


def page():
    """The page that npm and PyPI show of the packages."""
    released, missing = platforms()
    text = (ROOT / "deploy/package.md").read_text(encoding="utf-8")
    text = re.sub(r"<!--.*?-->\n", "", text)
    return text.replace("{RELEASED}", in_words(released)).replace("{MISSING}", without_program(missing))


def image():
    """Where an engine finds the image: beside the repository, if that is GitHub's."""
    path = server()["repository"].removeprefix("https://github.com/").removesuffix(".git").lower()
    if "image" in release()["published"] and path.startswith("https:"):
        sys.exit("Cargo.toml: published has image, which is published beside a repository of GitHub, and repository is another one")
    return "ghcr.io/" + (path if path and ":" not in path else "OWNER/token-provider")


def workflow():
    """The outputs of the job `plan`."""
    released, missing = platforms()
    found = {"version": server()["version"], "image": image(), "published": json.dumps(release()["published"])}
    found |= {"platforms": json.dumps(released + missing), "released": json.dumps(released)}
    return [f"{name}={value}" for name, value in found.items()]


def labels():
    """What the image says of itself, beside what is in its Containerfile."""
    package = server()
    found = {"title": "token-provider", "description": package["description"], "licenses": package["license"]}
    found |= {"version": package["version"], "authors": email.utils.formataddr(author())}
    if package["repository"]:
        found |= {"source": package["repository"], "url": package["repository"]}
    return [f"org.opencontainers.image.{name}={value}" for name, value in found.items()]


def main(what):
    prints = {
        "version": lambda: [server()["version"]],
        "repository": lambda: [server()["repository"]],
        "published": lambda: release()["published"],
        "targets": lambda: [each["target"] for each in platforms()[0]],
        "missing": lambda: [f"a program for {each['name']} ({each['target']})" for each in platforms()[1]],
        "labels": labels,
        "workflow": workflow,
    }
    if what not in prints:
        sys.exit(__doc__)
    for line in prints[what]():
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:] or [""])
