"""The wheels that `ci/release` makes, as their users get them: from an index on this machine, with Python and without Rust."""

import os
import pathlib
import shutil
import sys
import unittest

import support
from support import FILES, Place

TOOLS = pathlib.Path(sys.executable).parent
MACHINE = os.uname().machine


class FromPyPI(Place):
    # What is called python3 may be a script of some manager of versions.
    programs = (*(str(TOOLS / name) for name in ("uv", "uvx", "pipx")), os.path.realpath(sys.executable))

    def setUp(self):
        super().setUp()
        # An index is a folder for each project, with its files.
        project = self.base / "index/token-provider"
        project.mkdir(parents=True)
        for wheel in FILES.glob("*.whl"):
            shutil.copy(wheel, project)
        index = self.enterContext(support.files(self.base / "index"))
        self.env |= {
            "UV_DEFAULT_INDEX": index,
            "UV_CACHE_DIR": str(self.base / "cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "PIP_INDEX_URL": index,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def install(self):
        self.succeeds(sys.executable, "-m", "venv", "venv")
        self.succeeds("venv/bin/pip", "install", "token-provider")
        return "venv/bin/token-provider"

    def test_one_command_from_an_empty_folder_shows_a_token(self):
        self.one_command(support.documented("start", "pypi"))

    def test_it_installs_as_the_documentation_says(self):
        self.succeeds("sh", "-c", support.documented("install", "pypi"))
        program = pathlib.Path(self.env["HOME"], ".local/bin/token-provider")
        self.succeeds(str(program), "--version")
        # And it can be removed.
        self.succeeds("uv", "tool", "uninstall", "token-provider")
        self.succeeds("uv", "cache", "clean", "token-provider")
        self.assertFalse(program.is_symlink() or program.exists())

    def test_pipx_installs_it_as_well(self):
        self.succeeds("pipx", "install", "token-provider")
        self.succeeds(str(pathlib.Path(self.env["HOME"], ".local/bin/token-provider")), "--version")

    def test_ctrl_c_lets_the_server_finish(self):
        self.ends_by_key("uvx", "token-provider", "serve", "--sandbox")

    def test_exit_codes_and_signals_pass_through_where_it_is_installed(self):
        program = self.install()
        self.passes_exit_codes_on(program)
        self.passes_signals_on(program)

    def test_exit_codes_and_signals_pass_through_uvx(self):
        self.passes_exit_codes_on("uvx", "token-provider")
        self.passes_signals_on("uvx", "token-provider")

    def test_every_linux_takes_the_wheel_and_no_other_system_does(self):
        self.install()
        download = ("venv/bin/pip", "download", "--only-binary", ":all:", "--no-deps", "--dest", "got", "token-provider", "--platform")
        for platform in (f"manylinux2014_{MACHINE}", f"musllinux_1_2_{MACHINE}"):
            self.succeeds(*download, platform)
        for platform in ("win_amd64", "macosx_11_0_arm64", "manylinux2014_ppc64le"):
            done = self.run_here(*download, platform)
            self.assertEqual(done.returncode, 1)
            self.assertIn("No matching distribution", done.stderr)

    def test_it_installs_from_the_file_of_a_release_without_an_index(self):
        self.install()
        [wheel] = FILES.glob(f"*{MACHINE}.whl")
        self.succeeds("venv/bin/pip", "install", "--no-index", "--force-reinstall", str(wheel))
        self.succeeds("venv/bin/token-provider", "--version")

    def test_the_licences_come_with_it_and_it_leaves_nothing_behind(self):
        program = self.install()
        listed = self.succeeds("venv/bin/pip", "show", "--files", "token-provider")
        for name in ("licenses/LICENSE", "licenses/third-party-licences.txt", "bin/token-provider"):
            self.assertIn(name, listed)
        self.succeeds("venv/bin/pip", "uninstall", "--yes", "token-provider")
        self.assertFalse((self.folder / program).exists())
        self.assertEqual(list(self.folder.glob("venv/lib/*/site-packages/token_provider*")), [])


if __name__ == "__main__":
    unittest.main()
