"""The program for Windows, as its users run it: under Wine, or on Windows itself.

WINDOWS_PROGRAM is the program; WINDOWS_RUNNER what runs it, if it is not the system. Under Wine, files are those of this machine:
a file that is open can be replaced, and there are no access lists.
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))

from command import free_port  # noqa: E402

PROGRAM = str(pathlib.Path(os.environ["WINDOWS_PROGRAM"]).resolve())
RUNNER = shlex.split(os.environ.get("WINDOWS_RUNNER", ""))
IS_WINDOWS = sys.platform == "win32"
# Far more than anything here takes.
PATIENCE = int(os.environ.get("PATIENCE", 120))
TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


class Program:
    """A program that stays, and what it has said."""

    def __init__(self, command, folder, env):
        # On Windows a signal goes to a group.
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if IS_WINDOWS else {"start_new_session": True}
        self.process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **group
        )
        self.lines, self.changed = [], threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    @property
    def text(self):
        return "".join(self.lines)

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    def until(self, pattern):
        with self.changed:
            if not self.changed.wait_for(lambda: re.search(pattern, self.text), PATIENCE):
                raise AssertionError(f"it has not said {pattern!r}:\n{self.text}")
            return re.search(pattern, self.text)

    def interrupt(self):
        self.process.send_signal(signal.CTRL_BREAK_EVENT if IS_WINDOWS else signal.SIGINT)

    def wait(self):
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return code

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


class OnWindows(unittest.TestCase):
    def setUp(self):
        # Where the path is no test of its own.
        home = pathlib.Path(os.environ["WINEPREFIX"], "drive_c") if RUNNER else None
        folder = tempfile.TemporaryDirectory(prefix="token-provider-", dir=home, ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.address = f"127.0.0.1:{free_port()}"
        keep = ("PATH", "SYSTEMROOT", "SYSTEMDRIVE", "TEMP", "TMP", "USERPROFILE", "PROGRAMDATA", "COMSPEC")
        keep += ("WINEPREFIX", "WINEDEBUG", "WINEDLLOVERRIDES") if RUNNER else ()
        self.env = {name: value for name, value in os.environ.items() if name.upper() in keep}
        self.env |= {"TOKEN_PROVIDER_LISTEN": self.address, "TOKEN_PROVIDER_LOG__FORMAT": "text"}

    def command(self, arguments):
        return [*RUNNER, PROGRAM, *map(str, arguments)]

    def run_here(self, *arguments, env=None):
        return subprocess.run(
            self.command(arguments), cwd=self.folder, env=self.env | (env or {}), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE, check=False,
        )

    def succeeds(self, *arguments, env=None):
        done = self.run_here(*arguments, env=env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def fails(self, code, *arguments, env=None):
        done = self.run_here(*arguments, env=env)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def start(self, *arguments, env=None):
        program = Program(self.command(arguments), self.folder, self.env | (env or {}))
        self.addCleanup(program.close)
        return program

    def serve(self, *arguments, env=None):
        server = self.start("serve", *arguments, env=env)
        server.until("listening on ")
        return server

    def account(self, name):
        """An offline HERE account; returns the file with its access key."""
        file = self.folder / name
        account = self.start("sandbox", "--listen", "127.0.0.1:0", "--write-credentials", name)
        account.until("an offline HERE account at ")
        return file

    def get(self, path="/getToken", headers=None):
        request = urllib.request.Request(f"http://{self.address}{path}", headers=headers or {})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def eventually(self, holds):
        end = time.monotonic() + PATIENCE
        while not (found := holds()):
            self.assertLess(time.monotonic(), end, "it has not come to that")
            time.sleep(0.1)
        return found

    def config(self, text):
        (self.folder / "new.toml").write_text(text, encoding="utf-8")
        os.replace(self.folder / "new.toml", self.folder / "token-provider.toml")

    def test_quick_start_hands_out_a_token_and_ends_by_key(self):
        server = self.serve("--sandbox")
        curl = shutil.which("curl")
        asked = [curl, "--silent", "--fail", f"http://{self.address}/getToken?ttl=3600"]
        token = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertRegex(token, TOKEN)
        self.assertEqual(self.get(), token, "it is kept")
        self.assertIn("<html", self.get("/"))
        self.assertEqual(self.succeeds("health"), "ready\n")
        server.interrupt()
        self.assertEqual(server.wait(), 0, server.text)
        self.assertRegex(server.text, r"Ctrl-(C|Break): finishing requests in flight")
        self.assertIn("stopped", server.text)
        self.fails(1, "health")

    def test_token_is_printed_and_written(self):
        credentials = self.account("account.properties").name
        self.assertRegex(self.succeeds("token", "--credentials", credentials), TOKEN)
        shown = json.loads(self.succeeds("token", "--credentials", credentials, "--format", "json"))
        self.assertRegex(shown["access_token"], TOKEN)
        for _twice in range(2):
            self.succeeds("token", "--credentials", credentials, "--output", "token.txt")
        self.assertRegex((self.folder / "token.txt").read_text(encoding="utf-8"), TOKEN)
        self.assertEqual(sorted(file.name for file in self.folder.iterdir()), ["account.properties", "token.txt"])

    def test_check_says_once_that_permissions_are_nobodys(self):
        credentials = self.account("account.properties").name
        report = self.succeeds("check", "--credentials", credentials)
        self.assertEqual(len(re.findall("^warning  permissions: ", report, re.MULTILINE)), 1, report)
        self.assertNotIn("FAILURE", report)
        self.assertNotIn("other users cannot read", report)
        self.assertIn("ok       token: received", report)

    def test_what_windows_lacks_is_an_error_that_says_what_to_do(self):
        for setting, message in (
            ('listen = "unix:/run/x.sock"', "listen: Unix sockets cannot be used on this system; use TCP"),
            ('listen = "systemd"', "listen: systemd is only on Linux; use TCP"),
            ('[profiles.default]\nremote = "unix:/run/x.sock"', "remote: Unix sockets cannot be used on this system"),
            ('[[outputs]]\npath = "x"\nmode = "0640"', "mode: cannot be set on this system: leave it out"),
            ('[[outputs]]\npath = "x"\ngroup = "users"', "group: cannot be set on this system: leave it out"),
        ):
            self.config(setting)
            for command in ("check", "serve"):
                self.assertIn(message, self.fails(78, command, env={"TOKEN_PROVIDER_LISTEN": ""}))

    def test_exit_codes_are_those_of_every_system(self):
        self.assertRegex(self.succeeds("--version"), r"^token-provider \d")
        self.fails(2, "serve", "--no-such-flag")
        self.assertIn("no HERE credential found", self.fails(78, "token"))
        self.serve("--sandbox")
        # A second server does not take the port over.
        self.assertIn("another process is already listening there", self.fails(1, "serve", "--sandbox"))

    def test_renamed_files_are_taken_into_use_without_a_signal(self):
        first, second = self.account("first.properties"), self.account("second.properties")
        credentials = self.folder / "credentials.properties"
        shutil.copy(first, credentials)
        self.config('[log]\nlevel = "info"\n')
        server = self.serve()
        self.assertEqual(server.text.count("token-provider.toml was found there, and whether others can change it cannot be judged"), 1)
        self.get()
        os.replace(second, credentials)
        server.until("credential rotated: .* accepts the new one")
        key, stanza = self.succeeds("key", "new", "--id", "page").split("\n", 1)
        self.config(stanza)
        server.until("configuration")
        self.eventually(lambda: self.refused() == 401)
        self.assertRegex(self.get(headers={"Authorization": f"Bearer {key}"}), TOKEN)
        # Half a file changes nothing.
        self.config("[[access.api_keys")
        server.until("cannot be used|is not used|rejected")
        self.assertEqual(self.refused(), 401)

    def refused(self):
        try:
            self.get()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        return None

    def test_output_follows_the_token_and_goes_with_the_server(self):
        self.config('[[outputs]]\npath = "out/token.txt"\nformat = "text"\n')
        output = self.folder / "out/token.txt"
        server = self.serve("--sandbox")
        self.eventually(output.exists)
        self.assertEqual(output.read_text(encoding="utf-8").strip(), self.get())
        # Somebody else's file in its place is replaced.
        time.sleep(0.01)
        output.write_text("another", encoding="utf-8")
        self.eventually(lambda: output.read_text(encoding="utf-8").strip() == self.get())
        server.interrupt()
        self.assertEqual(server.wait(), 0, server.text)
        self.assertEqual(list((self.folder / "out").iterdir()), [])

    def test_output_goes_although_windows_gives_no_time_to_drain(self):
        event = pathlib.Path(PROGRAM).with_name("event.exe")
        if not event.exists():
            self.skipTest("ci/windows/build makes what tells the program")
        # So that no other server is told.
        own = pathlib.Path(shutil.copy(PROGRAM, self.folder / "told.exe"))
        library = event.with_name("bcryptprimitives.dll")
        if library.exists():
            shutil.copy(library, self.folder)
        self.config('drain = "10m"\n[[outputs]]\npath = "token.txt"\n')
        output = self.folder / "token.txt"
        for number, name in ((2, "console closed"), (6, "system shutdown")):
            server = Program([*RUNNER, str(own), "serve", "--sandbox"], self.folder, self.env)
            self.addCleanup(server.close)
            self.eventually(output.exists)
            subprocess.run([*RUNNER, str(event), own.name, str(number)], env=self.env, check=True, timeout=PATIENCE)
            begin = time.monotonic()
            self.assertEqual(server.wait(), 1, server.text)
            self.assertIn(f"{name}: stopped at once", server.text)
            self.assertFalse(output.exists(), "no token stays")
            # Windows ends the process after 5 s.
            self.assertLess(time.monotonic() - begin, 5)

    def test_audit_trail_that_was_moved_away_is_begun_again(self):
        trail = self.folder / "audit.log"
        self.config(f"[audit]\nto = '{windows(trail)}'\n")
        self.serve("--sandbox")
        self.get()
        self.eventually(lambda: "handed_out" in trail.read_text(encoding="utf-8"))
        os.replace(trail, self.folder / "audit.1")
        self.get()
        self.eventually(trail.exists)
        self.get()
        self.eventually(lambda: "handed_out" in trail.read_text(encoding="utf-8"))

    def test_user_profile_beats_home_and_program_data_has_the_configuration(self):
        credentials = self.account("account.properties")
        [profile, data] = [self.folder / name for name in ("profile", "data")]
        (profile / ".here").mkdir(parents=True)
        shutil.move(credentials, profile / ".here/credentials.properties")
        (data / "token-provider").mkdir(parents=True)
        (data / "token-provider/config.toml").write_text('[log]\nlevel = "warn"\n', encoding="utf-8")
        away = self.folder / "away/.here"
        away.mkdir(parents=True)
        (away / "credentials.properties").write_text("nonsense", encoding="utf-8")
        # Wine takes some of the variables from its registry.
        (self.folder / "check.cmd").write_text(
            f'set "USERPROFILE={windows(profile)}"\nset "HOME={windows(away.parent)}"\nset "ProgramData={windows(data)}"\n'
            f'"{windows(PROGRAM)}" check\n',
            encoding="utf-8",
        )
        shell = [*RUNNER, "cmd", "/c", "check.cmd"]
        done = subprocess.run(shell, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        report = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, report)
        self.assertIn(r"data\token-provider\config.toml", report)
        warning = r"^warning  configuration: the configuration .*data.token-provider.config\.toml was found there, and whether others can"
        self.assertEqual(len(re.findall(warning, report, re.MULTILINE)), 1, report)
        self.assertRegex(report, r"credential: profile default: file .*profile.\.here.credentials.properties")

    def test_new_keys_are_files_that_the_configuration_can_name(self):
        stanza = self.succeeds("key", "new", "--here", "--id", "tool", "--out", "keys", "--url", f"http://{self.address}")
        self.config(stanza)
        self.assertTrue((self.folder / "keys/tool.properties").is_file())
        credentials = self.account("account.properties").name
        self.assertIn("access key: tp.tool: its secret can be read", self.succeeds("check", "--credentials", credentials))
        self.fails(2, "key", "new", "--here", "--id", "tool", "--out", "keys", "--url", f"http://{self.address}")
        self.succeeds("key", "new", "--issuer-key", "private.pem")
        self.fails(2, "key", "new", "--issuer-key", "private.pem")


def windows(path):
    """A path as Windows has it."""
    if not RUNNER:
        return str(path)
    drive = pathlib.Path(os.environ["WINEPREFIX"], "drive_c").resolve()
    path = pathlib.Path(path).resolve()
    if path.is_relative_to(drive):
        return "C:\\" + str(path.relative_to(drive)).replace("/", "\\")
    return "Z:" + str(path).replace("/", "\\")


if __name__ == "__main__":
    unittest.main()
