// The held token: one request in flight, refreshed ahead of expiry, served while the provider is away, never when expired.
//
// Only one request is ever in flight, and one that timed out is no longer listened to, so a late answer has nothing
// to overwrite. Timers only make refreshes early: every decision asks the clocks again, because timers stop while a
// machine sleeps and are held back in background tabs.

import { unref } from "./clock.js";
import { TokenError } from "./error.js";
import { failure, type Answer, type Failure, type Provider } from "./request.js";
import { dueLeftMs, marginMs, pauseMs } from "./schedule.js";
import type { CallOptions, Clock, TokenStatus } from "./types.js";

/**
 * Least time, in milliseconds, between two refreshes asked for by `invalidate(token)`, because a service may refuse every
 * token, and between two pauses ended by `invalidate()`, because a program may call it after every failure.
 */
const INVALIDATE_PAUSE_MS = 10_000;

/**
 * How long the provider is given to replace a token that it was told of, in milliseconds: HERE answers in some 200, and a provider
 * that has its tokens from another takes a second more.
 */
const SUCCESSOR_MS = [250, 750, 1500];

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

/** Holds the token of one client. Methods that become callbacks are bound to it. */
export class Keeper {
  readonly #provider: Provider;
  readonly #clock: Clock;
  readonly #onError: ((error: TokenError) => unknown) | undefined;
  #held: Held | undefined;
  #flight: Promise<string> | undefined;
  #failed: Failure | undefined;
  #failures = 0;
  #pausedUntil = -Infinity;
  /** The token that HERE refused last, and, until it is reported, the one to report. */
  #refused: string | undefined;
  #unreported: string | undefined;
  /** Whether the next `online` event will be heard. */
  #listening = false;
  #refusedAgain = -Infinity;
  #resumedAgain = -Infinity;
  #timer: unknown;
  /** Whether anybody has taken the held token since the last request: one that nobody uses is dropped. */
  #wanted = false;
  /** How often the held token was dropped: what was asked for before that is dropped, too. */
  #drops = 0;
  /** How often a pause was ended from outside: a failure from before that makes no new one. */
  #resumed = 0;
  #requests = 0;
  #handouts = 0;

  constructor(provider: Provider, clock: Clock, onError: ((error: TokenError) => unknown) | undefined) {
    this.#provider = provider;
    this.#clock = clock;
    this.#onError = onError;
  }

  readonly token = async (options?: CallOptions): Promise<string> => {
    // Callbacks are called with all kinds of arguments; whatever has no signal is ignored.
    const signal = options?.signal;
    signal?.throwIfAborted();
    const ready = this.#held?.refused ? undefined : this.peek();
    if (ready) return ready;
    try {
      const next = await unlessAborted(this.#refresh(), signal);
      this.#handouts++;
      return next;
    } catch (reason) {
      // A refused token may still be good elsewhere: better than none while the provider is away.
      const rest = signal?.aborted ? undefined : this.peek();
      if (rest) return rest;
      throw reason;
    }
  };

  /** The held token where it can be handed out at once, refreshed behind the caller when due. */
  readonly peek = (): string | undefined => {
    const current = this.#usable();
    if (!current || current.refused || this.#left(current) <= current.dueLeft) this.#refreshBehind();
    if (!current) return undefined;
    this.#wanted = true;
    this.#handouts++;
    return current.token;
  };

  readonly invalidate = (refused?: string): void => {
    const now = this.#clock.monotonic();
    // An event, too, where this is the handler of a "Try again" button.
    if (typeof refused !== "string") {
      this.#held = undefined;
      this.#drops++;
      if ((this.#flight || this.#paused()) && now >= this.#resumedAgain) {
        this.#resumedAgain = now + INVALIDATE_PAUSE_MS;
        this.#resume();
      }
    } else if (this.#held?.token === refused.replace(/^Bearer +/i, "") && now >= this.#refusedAgain) {
      this.#refusedAgain = now + INVALIDATE_PAUSE_MS;
      this.#held = { ...this.#held, refused: true };
    }
  };

  /** Invalidates a token that one of HERE's services has refused. Of each, the provider is told once, before it is asked again. */
  refuse(token: string): void {
    this.invalidate(token);
    const held = this.#held;
    if (held?.refused && held.token === token && this.#refused !== token) this.#refused = this.#unreported = token;
  }

  readonly status = (): TokenStatus => {
    const held = this.#held;
    const left = held ? this.#left(held) : 0;
    return {
      state: !held ? "none" : !this.#usable() ? "expired" : held.refused || left <= held.dueLeft ? "due" : "fresh",
      expiresIn: Math.max(0, left / 1000),
      lifetime: held ? held.lifetimeMs / 1000 : 0,
      refreshedAt: held && held.wallExpiry - held.lifetimeMs,
      requests: this.#requests,
      handouts: this.#handouts,
      error: this.#failed && this.#error(this.#failed),
    };
  };

  #left(of: Held): number {
    return Math.min(of.wallExpiry - this.#clock.now(), of.monotonicExpiry - this.#clock.monotonic());
  }

  #usable(): Held | undefined {
    return this.#held && this.#left(this.#held) > marginMs(this.#held.lifetimeMs) ? this.#held : undefined;
  }

  #paused(): boolean {
    return this.#clock.monotonic() < this.#pausedUntil;
  }

  #error({ code, message, details, sent }: Failure): TokenError {
    const pause = sent ? this.#pausedUntil - this.#clock.monotonic() : 0;
    return new TokenError(code, message, { ...details, retryAfter: Math.max(0, Math.ceil(pause / 1000)) });
  }

  #arm(delay: number): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#wanted && this.#refreshBehind(), Math.ceil(delay) + 1);
    // A refresh that is due in an hour is no reason to keep a finished script running.
    unref(this.#timer);
  }

  #refresh(): Promise<string> {
    return (this.#flight ??= this.#request().finally(() => (this.#flight = undefined)));
  }

  #refreshBehind(): void {
    // Not even tried during a pause: that would make an error, with its stack, for nobody.
    // A failure has been told to `onError`, and whoever needs a token later gets an error of their own.
    if (!this.#paused()) this.#refresh().catch(() => {});
  }

  async #request(): Promise<string> {
    // What never reached the provider needs no pause: whoever has signed in by now gets a token.
    if (this.#failed?.sent && this.#paused()) throw this.#error(this.#failed);
    let waits: number[] = [];
    for (;;) {
      const refused = this.#unreported;
      this.#unreported = undefined;
      if (refused && (await this.#provider.report(refused)) === true) waits = [...SUCCESSOR_MS];
      const wall = this.#clock.now();
      const monotonic = this.#clock.monotonic();
      const drops = this.#drops;
      const resumed = this.#resumed;
      this.#requests++;
      this.#wanted = false;
      let outcome = await this.#provider.ask();
      if ("token" in outcome) {
        if (this.#drops !== drops || outcome.token === this.#unreported) continue;
        const wait = outcome.token === this.#refused && waits.shift();
        if (wait) {
          await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, wait));
          continue;
        }
        if (this.#keep(outcome, wall, monotonic)) return outcome.token;
        outcome = failure("invalid_response", "the token had expired when it came");
      }
      if (!outcome.sent) this.#requests--;
      if (this.#resumed === resumed) throw this.#fail(outcome);
    }
  }

  /** Holds the token, unless it has expired on its way. */
  #keep({ token, lifetime }: Answer, wall: number, monotonic: number): boolean {
    const lifetimeMs = lifetime * 1000;
    const next: Held = {
      token,
      lifetimeMs,
      // From the moment of sending: what the answer took on its way is lost, never gained.
      wallExpiry: wall + lifetimeMs,
      monotonicExpiry: monotonic + lifetimeMs,
      dueLeft: dueLeftMs(lifetimeMs, this.#clock.random()),
      refused: false,
    };
    if (this.#left(next) <= marginMs(lifetimeMs)) return false;
    this.#held = next;
    this.#unreported = undefined;
    this.#failed = undefined;
    this.#failures = 0;
    this.#arm(this.#left(next) - next.dueLeft);
    return true;
  }

  /** Begins a pause, and returns what to throw. */
  #fail(outcome: Failure): TokenError {
    this.#failed = outcome;
    const pause = pauseMs(outcome.sent ? ++this.#failures : 1, outcome.retryAfterMs, this.#clock.random());
    this.#pausedUntil = this.#clock.monotonic() + pause;
    if (this.#usable()) this.#arm(pause);
    this.#resumeWhenOnline();
    const error = this.#error(outcome);
    // It must neither take the error's place nor, as a rejected promise, end a Node process.
    new Promise((resolve) => resolve(this.#onError?.(error))).catch((reason: unknown) => console.error("onError failed:", reason));
    return error;
  }

  #resume(): void {
    this.#pausedUntil = -Infinity;
    this.#resumed++;
  }

  /** When the machine is back on a network, ends a pause whose reason was that no answer came. */
  #resumeWhenOnline(): void {
    // Browsers alone have both; a client that has not failed listens to nothing, and can be collected.
    if (this.#listening || globalThis.navigator?.onLine === undefined || !globalThis.addEventListener) return;
    this.#listening = true;
    const online = (): void => {
      this.#listening = false;
      if (!this.#failed || this.#failed.details.status !== undefined) return;
      this.#failures = 0;
      this.#resume();
    };
    globalThis.addEventListener("online", online, { once: true });
  }
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
