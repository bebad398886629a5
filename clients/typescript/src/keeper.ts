// The held token: one request in flight, refreshed ahead of expiry, served while the provider is away, never when expired.
//
// Only one request is ever in flight, and one that timed out is no longer listened to, so a late answer has nothing
// to overwrite. Timers only make refreshes early: every decision asks the clocks again, because timers stop while a
// machine sleeps and are held back in background tabs.

import { TokenError } from "./error.js";
import type { Answer, Failure } from "./request.js";
import { dueLeftMs, marginMs, pauseMs } from "./schedule.js";
import type { CallOptions, Clock, TokenStatus } from "./types.js";

/** Least time between two refreshes asked for by `invalidate(token)`, in milliseconds: a service may refuse every token. */
const INVALIDATE_PAUSE_MS = 10_000;

/** Longest delay a timer takes, in milliseconds; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

interface Held {
  readonly token: string;
  readonly lifetimeMs: number;
  /** Expiry by either clock; the first to pass counts. */
  readonly wallExpiry: number;
  readonly monotonicExpiry: number;
  readonly dueLeft: number;
  /** A service has refused it: used only while the provider has no other. */
  readonly refused: boolean;
}

export interface Keeper {
  token(options?: CallOptions): Promise<string>;
  peek(): string | undefined;
  invalidate(refused?: string): void;
  status(): TokenStatus;
}

export function createKeeper(
  ask: () => Promise<Answer | Failure>,
  clock: Clock,
  onError: ((error: TokenError) => void) | undefined,
): Keeper {
  let held: Held | undefined;
  let flight: Promise<string> | undefined;
  let failed: Failure | undefined;
  let failures = 0;
  let pausedUntil = -Infinity;
  let invalidateAgain = -Infinity;
  let timer: unknown;
  // Whether anybody has taken the held token since the last request: one that nobody uses is let go.
  let wanted = false;
  // How often the held token was dropped: what was asked for before that is dropped, too.
  let drops = 0;
  let requests = 0;
  let handouts = 0;

  const left = (of: Held): number => Math.min(of.wallExpiry - clock.now(), of.monotonicExpiry - clock.monotonic());
  const usable = (): Held | undefined => (held && left(held) > marginMs(held.lifetimeMs) ? held : undefined);
  const paused = (): boolean => clock.monotonic() < pausedUntil;

  const error = ({ code, message, details }: Failure): TokenError =>
    new TokenError(code, message, { ...details, retryAfter: Math.max(0, Math.ceil((pausedUntil - clock.monotonic()) / 1000)) });

  const arm = (delay: number): void => {
    clock.clearTimeout(timer);
    timer = clock.setTimeout(() => wanted && refreshBehind(), Math.min(MAX_TIMER_MS, Math.ceil(delay) + 1));
  };

  const refresh = (): Promise<string> => (flight ??= request().finally(() => (flight = undefined)));

  const refreshBehind = (): void => {
    // Not even tried during a pause: that would make an error, with its stack, for nobody.
    // A failure has been told to `onError`, and whoever needs a token later gets an error of their own.
    if (!paused()) refresh().catch(() => {});
  };

  const request = async (): Promise<string> => {
    if (paused()) throw error(failed!);
    const wall = clock.now();
    const monotonic = clock.monotonic();
    requests++;
    wanted = false;
    const before = drops;
    let outcome = await ask();
    if ("token" in outcome) {
      if (drops !== before) return request();
      const { token, lifetime } = outcome;
      const lifetimeMs = lifetime * 1000;
      const next: Held = {
        token,
        lifetimeMs,
        // From the moment of sending: what the answer took on its way is lost, never gained.
        wallExpiry: wall + lifetimeMs,
        monotonicExpiry: monotonic + lifetimeMs,
        dueLeft: dueLeftMs(lifetimeMs, clock.random()),
        refused: false,
      };
      if (left(next) > marginMs(lifetimeMs)) {
        held = next;
        failed = undefined;
        failures = 0;
        arm(left(next) - next.dueLeft);
        return token;
      }
      outcome = { code: "invalid_response", message: "the token had expired when it came", retryAfterMs: 0, details: {} };
    }
    failed = outcome;
    const pause = pauseMs(++failures, outcome.retryAfterMs, clock.random());
    pausedUntil = clock.monotonic() + pause;
    if (usable()) arm(pause);
    const thrown = error(outcome);
    onError?.(thrown);
    throw thrown;
  };

  /** The held token where it can be handed out at once, refreshed behind the caller when due. */
  const peek = (): string | undefined => {
    const current = usable();
    if (!current || current.refused || left(current) <= current.dueLeft) refreshBehind();
    if (!current) return undefined;
    wanted = true;
    handouts++;
    return current.token;
  };

  const token = async (options?: CallOptions): Promise<string> => {
    // Callbacks are called with all kinds of arguments; whatever has no signal is ignored.
    const signal = options?.signal;
    signal?.throwIfAborted();
    const ready = held?.refused ? undefined : peek();
    if (ready) return ready;
    try {
      const next = await unlessAborted(refresh(), signal);
      handouts++;
      return next;
    } catch (reason) {
      // A refused token may still be good elsewhere: better than none while the provider is away.
      const rest = signal?.aborted ? undefined : peek();
      if (rest) return rest;
      throw reason;
    }
  };

  const invalidate = (refused?: string): void => {
    if (refused === undefined) {
      held = undefined;
      drops++;
    } else if (held?.token === refused && clock.monotonic() >= invalidateAgain) {
      invalidateAgain = clock.monotonic() + INVALIDATE_PAUSE_MS;
      held = { ...held, refused: true };
    }
  };

  const status = (): TokenStatus => {
    const rest = held ? left(held) : 0;
    return {
      state: !held ? "none" : !usable() ? "expired" : held.refused || rest <= held.dueLeft ? "due" : "fresh",
      expiresIn: Math.max(0, rest / 1000),
      lifetime: held ? held.lifetimeMs / 1000 : 0,
      refreshedAt: held && held.wallExpiry - held.lifetimeMs,
      requests,
      handouts,
      error: failed && error(failed),
    };
  };

  return { token, peek, invalidate, status };
}

/** The promise, or the signal's reason as soon as it is aborted; the promise itself goes on. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
