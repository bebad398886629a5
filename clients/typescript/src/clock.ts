// The one place that asks for time, timers and randomness, so that tests can stand in for them.

import type { Clock } from "./types.js";

declare const Deno: { unrefTimer?(timer: unknown): void } | undefined;

/** The machine's own clocks and timers. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  setTimeout: (run, milliseconds) => setTimeout(run, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as Parameters<typeof clearTimeout>[0]),
};

/** Lets a finished script end before this timer. Node has a method for that, Deno (whose timers are plain numbers) a function, a browser needs neither. */
export function unref(timer: unknown): void {
  const { unref } = Object(timer) as { unref?(): void };
  if (unref) unref.call(timer);
  else if (typeof Deno !== "undefined") Deno.unrefTimer?.(timer);
}
