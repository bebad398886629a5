"""What packages say of themselves is filled in once, in the workspace's Cargo.toml: here with made-up values, in a copy.

PAGES and WHEELS are Pythons with what ci/docs and deploy/pypi need, CARGO_DEB is that program.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))
REPOSITORY = "https://git.example/maps/token-provider"
AUTHOR = "Maps Team <maps@example.com>"
TARGET = "x86_64-unknown-linux-musl"
ALL_CHANNELS = '"npm", "pypi", "crates.io", "releases"'
WORKFLOW = ROOT / ".github/workflows/release.yml"


class FilledIn(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="token-provider-metadata-")
        self.addCleanup(folder.cleanup)
        self.base = pathlib.Path(folder.name)
        self.copy = self.base / "copy"
        self.files = self.base / "files"
        self.files.mkdir()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.copy / name)
        # ci/docs asks it which files there are.
        subprocess.run(["git", "init", "--quiet"], cwd=self.copy, check=True)

    def fill_in(self, **values):
        path = self.copy / "Cargo.toml"
        text = path.read_text()
        for key, value in values.items():
            lines = [line for line in text.splitlines() if line.startswith(f"{key} = ")]
            self.assertEqual(len(lines), 1, f"{key} is in one place")
            text = text.replace(lines[0], f"{key} = {value}")
        path.write_text(text)

    def all_filled_in(self):
        self.fill_in(repository=f'"{REPOSITORY}"', authors=f'["{AUTHOR}"]', published=f"[{ALL_CHANNELS}]")
        self.run_in_copy(os.environ["PAGES"], "ci/docs/channels.py", "--write")

    def run_in_copy(self, *command, code=0, env=None):
        done = subprocess.run(
            command, cwd=self.copy, env=os.environ | (env or {}), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def packed(self):
        """What stands for a program and for its licences."""
        program, licences = self.base / "token-provider", self.base / "third-party-licences.txt"
        shutil.copy("/bin/true", program)
        licences.write_text("None.\n")
        return str(self.files), TARGET, str(program), str(licences)

    def test_the_crates_have_it(self):
        self.all_filled_in()
        text = self.run_in_copy("cargo", "metadata", "--locked", "--no-deps", "--format-version", "1")
        for package in json.loads(text)["packages"]:
            self.assertEqual((package["repository"], package["authors"]), (REPOSITORY, [AUTHOR]), package["name"])

    def test_the_npm_packages_have_it(self):
        self.all_filled_in()
        self.run_in_copy("deploy/npm/build", str(self.files))
        self.run_in_copy("deploy/npm/build", *self.packed())
        found = {}
        for path in self.files.glob("*.tgz"):
            with tarfile.open(path) as archive:
                found[path.name] = json.load(archive.extractfile("package/package.json"))
                page = archive.extractfile("package/README.md").read().decode()
            if path.name.startswith("token-provider-0"):
                self.assertIn("npx token-provider serve --sandbox", page)
        self.assertEqual(len(found), 3)
        for name, manifest in found.items():
            self.assertEqual(manifest["repository"]["url"], f"git+{REPOSITORY}.git", name)
        self.assertEqual(found["token-provider-client-0.1.0.tgz"]["repository"]["directory"], "clients/typescript")
        self.assertEqual(found["token-provider-0.1.0.tgz"]["author"], {"name": "Maps Team", "email": "maps@example.com"})

    def test_the_wheel_has_it(self):
        self.all_filled_in()
        self.run_in_copy(os.environ["WHEELS"], "deploy/pypi/build", *self.packed())
        [wheel] = self.files.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            [name] = [each for each in archive.namelist() if each.endswith("/METADATA")]
            text = archive.read(name).decode()
        self.assertIn(f"\nProject-URL: Repository, {REPOSITORY}\n", text)
        self.assertIn(f"\nAuthor-email: {AUTHOR}\n", text)
        self.assertIn("uvx token-provider serve --sandbox", text)

    def test_a_platform_that_gets_programs_is_in_every_package(self):
        path = self.copy / "Cargo.toml"
        path.write_text(path.read_text().replace("released = false", "released = true"))
        self.run_in_copy("deploy/npm/build", str(self.files))
        with tarfile.open(self.files / "token-provider-0.1.0.tgz") as archive:
            manifest = json.load(archive.extractfile("package/package.json"))
            page = archive.extractfile("package/README.md").read().decode()
        names = sorted(name.rpartition("/")[2] for name in manifest["optionalDependencies"])
        self.assertEqual(names, ["darwin-arm64", "linux-arm64", "linux-x64", "win32-x64"])
        self.assertIn("for Linux x86-64, Linux arm64, macOS arm64 and Windows x86-64.", page)
        self.assertNotIn("none yet", page)
        files, _, program, licences = self.packed()
        for row in self.rows():
            system, processor = row["npm"].split("-")
            command = "token-provider.exe" if system == "win32" else "token-provider"
            packed = (files, row["target"], program, licences)
            self.run_in_copy("deploy/npm/build", *packed)
            with tarfile.open(self.files / f"token-provider-{row['npm']}-0.1.0.tgz") as archive:
                manifest = json.load(archive.extractfile("package/package.json"))
                self.assertEqual(archive.extractfile(f"package/bin/{command}").read(), pathlib.Path(program).read_bytes())
            self.assertEqual((manifest["os"], manifest["cpu"]), ([system], [processor]))
            self.run_in_copy(os.environ["WHEELS"], "deploy/pypi/build", *packed)
            with zipfile.ZipFile(self.files / f"token_provider-0.1.0-py3-none-{row['wheel']}.whl") as archive:
                self.assertEqual(archive.read(f"token_provider-0.1.0.data/scripts/{command}"), pathlib.Path(program).read_bytes())

    def rows(self):
        return tomllib.loads((self.copy / "Cargo.toml").read_text())["workspace"]["metadata"]["release"]["platforms"]

    def test_the_launcher_runs_the_program_of_each_platform(self):
        path = self.copy / "Cargo.toml"
        path.write_text(path.read_text().replace("released = false", "released = true"))
        self.run_in_copy("deploy/npm/build", str(self.files))
        modules = self.base / "node_modules"
        with tarfile.open(self.files / "token-provider-0.1.0.tgz") as archive:
            archive.extractall(modules, filter="data")
        (modules / "package").rename(modules / "token-provider")
        (modules / "@token-provider").mkdir()
        for row in self.rows():
            packed = self.packed()
            # What stands for the program says for which platform it is.
            pathlib.Path(packed[2]).write_text(f'#!/bin/sh\necho "{row["npm"]} $1"\nexit 7\n')
            self.run_in_copy("deploy/npm/build", packed[0], row["target"], *packed[2:])
            with tarfile.open(self.files / f"token-provider-{row['npm']}-0.1.0.tgz") as archive:
                archive.extractall(self.base, filter="data")
            shutil.move(self.base / "package", modules / "@token-provider" / row["npm"])
        for row in self.rows():
            system, processor = row["npm"].split("-")
            there = self.base / "there.cjs"
            there.write_text(
                f'for (const [name, value] of [["platform", "{system}"], ["arch", "{processor}"]]) Object.defineProperty(process, name, {{ value }});\n'
            )
            launcher = str(modules / "token-provider/bin/token-provider.js")
            self.assertEqual(self.run_in_copy("node", "--require", str(there), launcher, "serve", code=7), f"{row['npm']} serve\n")

    def test_the_image_has_it(self):
        self.all_filled_in()
        labels = self.run_in_copy("deploy/metadata.py", "labels").splitlines()
        self.assertIn(f"org.opencontainers.image.source={REPOSITORY}", labels)
        self.assertIn(f"org.opencontainers.image.authors={AUTHOR}", labels)

    def test_the_image_is_published_beside_its_repository(self):
        self.fill_in(repository='"https://github.com/Maps/Token-Provider"', published='["image"]')
        said = self.run_in_copy("deploy/metadata.py", "workflow").splitlines()
        self.assertIn("image=ghcr.io/maps/token-provider", said)
        self.assertIn('published=["image"]', said)
        self.run_in_copy(os.environ["PAGES"], "ci/docs/channels.py", "--write")
        self.run_in_copy(os.environ["PAGES"], "ci/docs/channels.py")
        self.assertIn("podman pull ghcr.io/maps/token-provider:0.1.0\n", (self.copy / "docs/deploying.md").read_text())
        self.fill_in(repository=f'"{REPOSITORY}"')
        self.assertIn("beside a repository of GitHub", self.run_in_copy("deploy/metadata.py", "workflow", code=1))

    def test_the_workflow_builds_each_platform_and_publishes_where_it_is_said(self):
        import metadata

        outputs = dict(line.split("=", 1) for line in self.run_in_copy("deploy/metadata.py", "workflow").splitlines())
        self.assertEqual(outputs["published"], "[]")
        rows = json.loads(outputs["platforms"])
        self.assertEqual(sorted(row["target"] for row in rows), sorted(row["target"] for row in metadata.release()["platforms"]))
        self.assertEqual([row["target"] for row in json.loads(outputs["released"])], [row["target"] for row in metadata.platforms()[0]])
        for row in rows:
            self.assertRegex(row["runner"], r"^(ubuntu|macos|windows)-\d")
        text = WORKFLOW.read_text()
        # What a channel's job does, others cannot do by accident.
        for channel in metadata.CHANNELS:
            self.assertEqual(text.count(f"contains(fromJSON(needs.plan.outputs.published), '{channel}')"), 1, channel)
        self.assertEqual(text.count("environment: release"), len(metadata.CHANNELS))

    def test_a_release_is_built_by_the_same_compiler_as_the_image(self):
        [version] = re.findall(r"RUSTUP_TOOLCHAIN: (\S+)", WORKFLOW.read_text())
        self.assertIn(f"/rust:{version}-", (ROOT / "deploy/container/Containerfile").read_text())

    def test_the_debian_package_has_it(self):
        # What is not filled in is left out, and not left empty.
        self.assertNotRegex(self.debian_control(), r"(?m)^[A-Za-z-]+: *$|Homepage|Vcs-")
        self.all_filled_in()
        control = self.debian_control()
        self.assertIn(f"\nMaintainer: {AUTHOR}\n", control)
        self.assertRegex(control, rf"\n(Homepage|Vcs-Browser): {REPOSITORY}\n")

    def debian_control(self):
        release = self.copy / "target/release"
        (release / "package").mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/true", release / "token-provider")
        for name in ("token-provider.1.gz", "token-provider.bash", "token-provider.zsh", "token-provider.fish", "third-party-licences.txt.gz"):
            (release / "package" / name).write_text("")
        tools = f"{pathlib.Path(os.environ['CARGO_DEB']).parent}:{os.environ['PATH']}"
        env = {"CARGO_TARGET_DIR": str(self.copy / "target"), "PATH": tools}
        deb = self.run_in_copy("deploy/debian/pack", env=env).splitlines()[-1]
        return self.run_in_copy("dpkg-deb", "--field", deb)

    def test_the_pages_turn_to_what_is_published(self):
        self.all_filled_in()
        self.run_in_copy(os.environ["PAGES"], "ci/docs/channels.py")
        self.run_in_copy(os.environ["PAGES"], "ci/docs/links.py")
        page = (self.copy / "README.md").read_text()
        commands = ("npx token-provider serve --sandbox", "uvx token-provider serve --sandbox", "cargo install", "cargo run --release")
        places = [page.find(command) for command in commands]
        self.assertNotIn(-1, places)
        self.assertEqual(places, sorted(places))

    def test_a_channel_that_is_not_published_is_found_wherever_it_is_named(self):
        for name, text in (
            ("docs/quick-start.md", "npx token-provider serve"),
            ("docs/operations.md", "npm install -g token-provider"),
            ("SECURITY.md", "uvx token-provider check"),
            ("docs/deploying.md", "cargo install --locked token-provider-server"),
            ("crates/token-provider-server/src/cli.rs", "// pip install token-provider"),
            ("deploy/package.md", "pipx run token-provider"),
            ("docs/deploying.md", "podman pull ghcr.io/maps/token-provider"),
        ):
            path = self.copy / name
            before = path.read_text()
            path.write_text(f"{before}\n{text}\n")
            said = self.run_in_copy(os.environ["PAGES"], "ci/docs/channels.py", code=1)
            self.assertRegex(said, rf"{name}:\d+: .* names a channel on which this is not published")
            path.write_text(before)
        self.run_in_copy(os.environ["PAGES"], "ci/docs/channels.py")

    def test_nothing_is_published_that_does_not_say_where_it_comes_from(self):
        self.fill_in(published='["npm"]')
        self.assertIn("repository is empty", self.run_in_copy("deploy/metadata.py", "published", code=1))
        self.fill_in(repository='"git.example/maps"')
        self.assertIn("expected an address that begins with https://", self.run_in_copy("deploy/metadata.py", "repository", code=1))
        self.fill_in(repository=f'"{REPOSITORY}"', published='["homebrew"]')
        self.assertIn("published has homebrew", self.run_in_copy("deploy/metadata.py", "published", code=1))


if __name__ == "__main__":
    unittest.main()
