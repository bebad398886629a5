"""What `ci/release` makes for npm, as its users get it: from a registry on this machine, with Node and without Rust."""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import time
import unittest
from urllib.parse import unquote

import support
from support import FILES, Place

import metadata  # isort: skip  (support says where it is)

SCOPE = metadata.release()["npm-scope"]
OURS = f"{SCOPE}/linux-{'x64' if os.uname().machine == 'x86_64' else 'arm64'}"
LAUNCHER = "node_modules/.bin/token-provider"


def manifest(package):
    with tarfile.open(package) as archive:
        return json.load(archive.extractfile("package/package.json"))


def packages():
    """The archives by their package's name."""
    return {manifest(path)["name"]: path for path in FILES.glob("*.tgz")}


class Registry(http.server.BaseHTTPRequestHandler):
    """An npm registry that has these packages and no others."""

    changed = False

    def do_GET(self):
        name = unquote(self.path[1:])
        if name.startswith("-/"):
            data = (FILES / pathlib.Path(name).name).read_bytes()
            self.answer(data + b"\0" if self.changed else data, "application/octet-stream")
        elif path := packages().get(name):
            self.answer(json.dumps(self.document(path)).encode(), "application/json")
        else:
            self.send_error(404)

    def document(self, path):
        found = manifest(path)
        integrity = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
        found["dist"] = {"tarball": f"http://{self.headers['Host']}/-/{path.name}", "integrity": f"sha512-{integrity}"}
        return {"name": found["name"], "dist-tags": {"latest": found["version"]}, "versions": {found["version"]: found}}

    def answer(self, data, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class FromNpm(Place):
    programs = ("node", "npm", "npx")

    def setUp(self):
        super().setUp()
        self.registry = type("OneRegistry", (Registry,), {})
        registry = self.enterContext(support.serve(self.registry))
        self.env |= {
            "npm_config_registry": registry,
            "npm_config_cache": str(self.base / "cache"),
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "npm_config_update_notifier": "false",
            "npm_config_fetch_retries": "0",
        }

    def install(self, *arguments, env=None):
        self.succeeds("npm", "install", *arguments, env=env or {})

    def says(self, code, *texts, command=(LAUNCHER, "--version")):
        done = self.run_here(*command)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)

    def test_one_command_from_an_empty_folder_shows_a_token(self):
        self.one_command(support.documented("start", "npm"), question="Ok to proceed? (y)")

    def test_it_installs_as_the_documentation_says(self):
        self.env["npm_config_prefix"] = str(self.base / "global")
        self.succeeds("sh", "-c", support.documented("install", "npm"))
        self.succeeds(str(self.base / "global/bin/token-provider"), "--version")

    def test_ctrl_c_lets_the_server_finish(self):
        self.install("token-provider")
        self.ends_by_key(LAUNCHER, "serve", "--sandbox")

    def test_ctrl_c_lets_the_server_finish_behind_npx(self):
        # npm passes on what the terminal has told everybody already, and then dies of it itself.
        self.ends_by_key("npx", "--yes", "token-provider", "serve", "--sandbox", codes=(0, -signal.SIGINT))

    def test_exit_codes_and_signals_pass_through(self):
        self.install("token-provider")
        self.passes_exit_codes_on(LAUNCHER)
        self.passes_signals_on(LAUNCHER)

    def test_it_dies_of_the_signal_that_its_program_died_of(self):
        self.install("token-provider")
        for number in (signal.SIGKILL, signal.SIGABRT):
            server = self.start(LAUNCHER, "serve", "--sandbox")
            server.until("listening on ")
            [child] = children(server.process.pid)
            os.kill(child, number)
            self.assert_ended(server, -number)

    def test_a_signal_during_the_start_leaves_nothing_behind(self):
        self.install("token-provider")
        for milliseconds in range(0, 120, 10):
            server = self.start(LAUNCHER, "serve", "--sandbox")
            time.sleep(milliseconds / 1000)
            server.process.send_signal(signal.SIGTERM)
            self.assertIn(server.wait(), (0, -signal.SIGTERM), server.text)
            with self.assertRaises(OSError):
                self.token()

    def test_it_installs_and_runs_no_script(self):
        for name, path in packages().items():
            self.assertNotIn("scripts", manifest(path), name)
            self.assertNotIn("dependencies", manifest(path), name)
        self.install("--ignore-scripts", "token-provider")
        self.says(0)

    def test_without_optional_dependencies_it_says_what_to_do_and_that_helps(self):
        self.install("--omit=optional", "token-provider")
        self.says(1, f"error: {OURS}, the package with the program", "install without --omit=optional")
        self.install()
        self.says(0)

    def test_with_a_lock_file_of_another_platform_it_says_what_to_do_and_that_helps(self):
        self.install("token-provider")
        # What npm once left out of a lock file, it goes on leaving out.
        lock = self.folder / "package-lock.json"
        text = json.loads(lock.read_text())
        del text["packages"][f"node_modules/{OURS}"]
        lock.write_text(json.dumps(text))
        shutil.rmtree(self.folder / "node_modules")
        self.install("--omit=optional")
        self.says(1, "the lock file was made on another platform: delete node_modules and the lock file, and install again")
        shutil.rmtree(self.folder / "node_modules")
        lock.unlink()
        self.install()
        self.says(0)

    def test_with_the_packages_of_another_platform_it_says_which(self):
        self.install("token-provider")
        # As in a folder that was copied, or is shared with a container.
        other = f"{SCOPE}/win32-x64"
        (self.folder / "node_modules" / OURS).rename(self.folder / "node_modules" / other)
        path = self.folder / "node_modules/token-provider/package.json"
        fields = json.loads(path.read_text())
        fields["optionalDependencies"][other] = fields["version"]
        path.write_text(json.dumps(fields))
        self.says(1, f"error: {OURS}", f"What is installed is {other}, for another platform: delete node_modules")

    def test_on_a_platform_without_a_program_it_says_so(self):
        self.install("token-provider")
        (self.folder / "elsewhere.cjs").write_text('Object.defineProperty(process, "platform", { value: "sunos" });\n')
        command = ("node", "--require", "./elsewhere.cjs", "node_modules/token-provider/bin/token-provider.js")
        self.says(1, "no program for sunos-", f"it has one for {', '.join(each['npm'] for each in metadata.platforms()[0])}", "build it from its source", command=command)

    def test_a_program_that_cannot_be_run_is_told_with_its_path(self):
        self.install("token-provider")
        (self.folder / "node_modules" / OURS / "bin/token-provider").chmod(0o644)
        self.says(1, f"error: cannot run {self.folder.resolve()}/node_modules/{OURS}/bin/token-provider", "EACCES")

    def test_a_package_that_was_changed_on_its_way_is_refused(self):
        self.registry.changed = True
        done = self.run_here("npm", "install", "token-provider")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("EINTEGRITY", done.stderr)
        self.assertFalse((self.folder / LAUNCHER).exists())

    def test_it_installs_from_the_files_of_a_release_without_a_registry(self):
        names = [str(path) for name, path in packages().items() if name in ("token-provider", OURS)]
        self.env |= {"npm_config_registry": "http://127.0.0.1:9/", "npm_config_offline": "true", "npm_config_prefix": str(self.base / "global")}
        self.install(*names)
        self.says(0)
        self.install("--global", *names)
        self.says(0, command=(str(self.base / "global/bin/token-provider"), "--version"))
        # And it can be removed.
        self.succeeds("npm", "uninstall", "--global", "token-provider", OURS)
        self.assertEqual([path for path in (self.base / "global").rglob("*") if path.is_file()], [])

    def test_the_client_can_be_imported_and_required(self):
        self.succeeds("sh", "-c", support.documented("client", "npm"))
        for code in ('import { createTokenClient } from "token-provider-client"', 'const { createTokenClient } = require("token-provider-client")'):
            kind = "module" if code.startswith("import") else "commonjs"
            print_type = f"{code}; console.log(typeof createTokenClient)"
            self.assertEqual(self.succeeds("node", f"--input-type={kind}", "--eval", print_type), "function\n")


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


if __name__ == "__main__":
    unittest.main()
