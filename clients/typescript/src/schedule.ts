// When to refresh, how long to pause, what the provider's headers say. Pure: time and chance are arguments.

/** Longest lifetime believed, in seconds: HERE issues no token for longer than a day. */
export const MAX_LIFETIME_S = 86_400;

/** Longest delay a timer takes, in milliseconds; a longer one would fire at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** Pause after the first failure, in milliseconds; doubled by each further one. */
const FIRST_PAUSE_MS = 1_000;

/** Longest pause that is ours to choose, in milliseconds: short enough that people do not reload the page. */
const MAX_PAUSE_MS = 30_000;

/** Longest `Retry-After` that is believed, in milliseconds: a longer one is a mistake, and would stop a service for good. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** A token is not used in its last ten seconds (or tenth, where that is less): it has to arrive while it is accepted. */
export const marginMs = (lifetimeMs: number): number => Math.min(10_000, lifetimeMs / 10);

/** What is left of a token when its refresh is due: at 70 % ± 5 % of its time, so that clients do not come all at once. */
export const dueLeftMs = (lifetimeMs: number, random: number): number => lifetimeMs * (0.25 + 0.1 * random);

/** By how much of itself a `Retry-After` is lengthened at most: all pages are told of one outage in the same words. */
const RETRY_AFTER_JITTER = 0.1;

/** The pause after the `failures`th failure in a row, at least what `Retry-After` said. */
export const pauseMs = (failures: number, retryAfterMs: number, random: number): number =>
  Math.max(retryAfterMs * (1 + RETRY_AFTER_JITTER * random), Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1)) * (0.5 + random / 2));

/**
 * `Retry-After` (RFC 9110 §10.2.3) in milliseconds; 0 when absent or malformed.
 *
 * A date is compared with the answer's own `Date` where that can be read, because the two come from one clock.
 */
export const retryAfterMs = (headers: Headers, now: number): number => {
  const value = headers.get("retry-after") ?? "";
  const wait = /^\d+$/.test(value)
    ? Number(value) * 1000
    : httpDate(value) - (httpDate(headers.get("date") ?? "") || now);
  return Math.min(MAX_RETRY_AFTER_MS, Math.max(0, wait || 0));
};

/** Seconds left as `Token-Expires-In` says; the fallback when it is absent or malformed. */
export const lifetimeS = (headers: Headers, fallback: number): number => {
  const value = headers.get("token-expires-in") ?? "";
  return Math.min(MAX_LIFETIME_S, /^\d+$/.test(value) ? Number(value) : fallback);
};

/** Milliseconds since 1970 of an IMF-fixdate, else NaN. */
const httpDate = (value: string): number => {
  const date = new Date(value);
  // `Date` reads almost anything; only an IMF-fixdate with a day that exists comes back as it went in.
  return date.getTime() && date.toUTCString() === value ? date.getTime() : NaN;
};
