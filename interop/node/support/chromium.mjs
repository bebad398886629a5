// How Chromium is started for tests: Debian's, or the one that CHROMIUM names, with nothing in the background that asks anybody.

const QUIET = [
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** For pages that draw with WebGL: without a graphics card. */
export const DRAWN_BY_PROCESSOR = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"];

/** What Playwright's `launch` takes; `flags` are the test's own. */
export function chromiumOptions(...flags) {
  // Chromium's sandbox does not run as root.
  const asRoot = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: [...QUIET, ...asRoot, ...flags] };
}
