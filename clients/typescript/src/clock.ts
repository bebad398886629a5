// The one place that asks for time, timers and randomness, so that tests can stand in for them.

import type { Clock } from "./types.js";

declare const Deno: { unrefTimer?(timer: unknown): void } | undefined;

/** The machine's own clocks and timers. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  setTimeout(run, milliseconds, isAwaited) {
    const timer = setTimeout(run, milliseconds) as unknown as { unref?(): void };
    if (isAwaited) return timer;
    // A refresh that is due in an hour is no reason to keep a finished script running. Node has a method for that,
    // Deno (whose timers are plain numbers) a function, a browser needs neither.
    if (timer.unref) timer.unref();
    else if (typeof Deno !== "undefined") Deno.unrefTimer?.(timer);
    return timer;
  },
  clearTimeout: (timer) => clearTimeout(timer as Parameters<typeof clearTimeout>[0]),
};
