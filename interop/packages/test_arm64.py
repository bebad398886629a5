"""The program for Linux on arm64, run by qemu, and the packages that hold it, which `ci/release` has made of it.

PROGRAM is that program. What qemu does not show is listed in CONTRIBUTING.md.
"""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import unittest
import zipfile

import support
from support import FILES, Place
from test_npm import Registry

PROGRAM = pathlib.Path(os.environ["PROGRAM"]).resolve()
VERSION = support.version()
ARCHIVE = f"token-provider-v{VERSION}-aarch64-unknown-linux-musl"
NPM = FILES / f"token-provider-linux-arm64-{VERSION}.tgz"
QEMU = "qemu-aarch64-static"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class OnArm64(Place):
    """The program as it is."""

    programs = (QEMU,)

    def setUp(self):
        super().setUp()
        self.command = (QEMU, str(PROGRAM))

    def test_it_is_for_arm64_and_linked_statically(self):
        text = subprocess.run(["readelf", "--file-header", "--program-headers", "--dynamic", PROGRAM], check=True, capture_output=True, text=True).stdout
        self.assertIn("AArch64", text)
        self.assertNotRegex(text, "INTERP|NEEDED")

    def test_one_command_from_an_empty_folder_shows_a_token(self):
        self.one_command(f"{QEMU} {PROGRAM} serve --sandbox")

    def test_exit_codes_and_signals_pass_through(self):
        self.passes_exit_codes_on(*self.command)
        self.passes_signals_on(*self.command)

    def account(self):
        """A HERE account, and its credential in `credentials.properties`."""
        account = self.start(*self.command, "sandbox", "--listen", "127.0.0.1:0", "--write-credentials", "credentials.properties")
        account.until("an offline HERE account at ")
        return account

    def test_token_and_check_use_a_credential(self):
        account = self.account()
        self.assertEqual(self.succeeds(*self.command, "token").strip().count("."), 2)
        self.succeeds(*self.command, "check")
        account.process.send_signal(signal.SIGTERM)
        account.wait()
        # Nothing answers any more.
        for command in ("token", "check"):
            self.assertNotIn(self.run_here(*self.command, command).returncode, (0, 2, 78), command)

    def test_a_rotated_credential_is_used_without_a_restart(self):
        first = self.account()
        server = self.start(*self.command, "serve")
        server.until("listening on ")
        self.token()
        first.process.send_signal(signal.SIGTERM)
        first.wait()
        (self.folder / "credentials.properties").rename(self.folder / "before")
        self.account()
        server.until("credential rotated: HERE accepts the new one")


class Packages(Place):
    """What holds it."""

    programs = ("node", "npm", QEMU)

    def setUp(self):
        super().setUp()
        self.program = PROGRAM.read_bytes()

    def test_archive_npm_package_and_wheel_hold_the_program_and_are_in_the_sums(self):
        with tarfile.open(FILES / f"{ARCHIVE}.tar.gz") as archive:
            self.assertEqual(sha256(archive.extractfile(f"{ARCHIVE}/token-provider").read()), sha256(self.program))
        with tarfile.open(NPM) as package:
            self.assertEqual(sha256(package.extractfile("package/bin/token-provider").read()), sha256(self.program))
            self.assertEqual(package.getmember("package/bin/token-provider").mode & 0o777, 0o755)
            manifest = json.load(package.extractfile("package/package.json"))
        self.assertEqual((manifest["os"], manifest["cpu"]), (["linux"], ["arm64"]))
        [wheel] = FILES.glob("*aarch64.whl")
        self.assertEqual(wheel.name, f"token_provider-{VERSION}-py3-none-manylinux2014_aarch64.musllinux_1_2_aarch64.whl")
        with zipfile.ZipFile(wheel) as archive:
            name = f"token_provider-{VERSION}.data/scripts/token-provider"
            self.assertEqual(sha256(archive.read(name)), sha256(self.program))
            self.assertEqual(archive.getinfo(name).external_attr >> 16 & 0o777, 0o755)
        sums = dict(reversed(line.split()) for line in (FILES / "SHA256SUMS").read_text().splitlines())
        for path in (FILES / f"{ARCHIVE}.tar.gz", FILES / f"{ARCHIVE}.cdx.json", NPM, wheel):
            self.assertEqual(sums[path.name], sha256(path.read_bytes()))

    def test_npm_installs_it_on_arm64_and_the_launcher_runs_it(self):
        self.env["npm_config_registry"] = self.enterContext(support.serve(Registry))
        self.succeeds("npm", "install", "--no-audit", "--no-fund", "--os=linux", "--cpu=arm64", "token-provider")
        installed = self.folder / "node_modules/@token-provider/linux-arm64/bin/token-provider"
        self.assertEqual(sha256(installed.read_bytes()), sha256(self.program))
        # What an arm64 kernel would do by itself.
        real = installed.with_name("real")
        installed.rename(real)
        installed.write_text(f'#!/bin/sh\nexec {shutil.which(QEMU)} {real} "$@"\n')
        installed.chmod(0o755)
        (self.folder / "arm64.cjs").write_text('Object.defineProperty(process, "arch", { value: "arm64" });\n')
        launcher = ("node", "--require", "./arm64.cjs", "node_modules/token-provider/bin/token-provider.js")
        self.passes_exit_codes_on(*launcher)
        self.passes_signals_on(*launcher)

    def test_pip_takes_the_wheel_on_arm64(self):
        pip = (sys.executable, "-m", "pip", "download", "--no-index", "--find-links", str(FILES), "--no-deps", "--only-binary", ":all:")
        for platform in ("manylinux2014_aarch64", "musllinux_1_2_aarch64"):
            self.succeeds(*pip, "--platform", platform, "--dest", "got", "token-provider")
        self.assertEqual([path.name for path in (self.folder / "got").iterdir()], [path.name for path in FILES.glob("*aarch64.whl")])


if __name__ == "__main__":
    unittest.main()
