#!/usr/bin/env node
// Runs the program, which is in a package of its own for each platform, and ends as it ends. Nothing is downloaded, here or when
// the package is installed.
"use strict";

const { spawn } = require("node:child_process");
const { signals } = require("node:os").constants;
const path = require("node:path");
const { isatty } = require("node:tty");
const { optionalDependencies } = require("../package.json");

const platform = `${process.platform}-${process.arch}`;

function fail(...lines) {
  console.error(lines.join("\n"));
  process.exit(1);
}

/** Where the package for a platform is, if it is installed. */
function folder(name) {
  try {
    return path.dirname(require.resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

function findProgram() {
  const packages = Object.keys(optionalDependencies);
  const platforms = packages.map((name) => path.posix.basename(name));
  const name = packages[platforms.indexOf(platform)];
  if (!name) {
    fail(
      `error: this version of token-provider has no program for ${platform}; it has one for ${platforms.join(", ")}`,
      "On other platforms, build it from its source, which takes Rust: cargo install --path crates/token-provider-server",
    );
  }
  const found = folder(name);
  if (found) return path.join(found, "bin", process.platform === "win32" ? "token-provider.exe" : "token-provider");
  const other = packages.find(folder);
  return fail(
    `error: ${name}, the package with the program for ${platform}, is not installed`,
    other
      ? `What is installed is ${other}, for another platform: delete node_modules and install on this machine`
      : "It is an optional dependency: install without --omit=optional or --no-optional. If it is still missing, the lock file was " +
          "made on another platform: delete node_modules and the lock file, and install again",
  );
}

const program = findProgram();
// What a terminal sends for a key, it sends to the program as well, which takes a second one as "at once".
const fromKeys = [0, 1, 2].some((fd) => isatty(fd)) ? ["SIGINT", "SIGQUIT"] : [];
let child;
for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"]) {
  process.on(signal, () => fromKeys.includes(signal) || child.kill(signal));
}
child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
child.on("error", (error) => {
  fail(`error: cannot run ${program}`, `caused by: ${error.message}`, "Delete node_modules and install again");
});
child.on("exit", (code, signal) => {
  if (!signal) process.exit(code);
  // Where Node outlives the signal, the code is a shell's.
  process.exitCode = 128 + signals[signal];
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
