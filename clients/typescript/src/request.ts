// One token request: a token, or the reason why not. It never throws, waits at most `timeoutMs`, and keeps nothing.

import type { TokenErrorCode, TokenErrorDetails } from "./error.js";
import { base } from "./base.js";
import { lifetimeS, MAX_LIFETIME_S, MAX_TIMER_MS, retryAfterMs } from "./schedule.js";
import type { Clock, Fetch, HeadersLike, TokenClientOptions } from "./types.js";

/** What the provider handed out. */
export interface Answer {
  readonly token: string;
  /** Seconds left, counted from the moment the request was sent. */
  readonly lifetime: number;
}

/** Why it did not. */
export interface Failure {
  readonly code: TokenErrorCode;
  readonly message: string;
  /** What the provider asked for, in milliseconds; 0 when it did not. */
  readonly retryAfterMs: number;
  readonly details: TokenErrorDetails;
  /** Whether the provider was asked at all. */
  readonly sent: boolean;
}

export const failure = (code: TokenErrorCode, message: string, details: TokenErrorDetails = {}, more: Partial<Failure> = {}): Failure => ({
  code,
  message,
  retryAfterMs: 0,
  details,
  sent: true,
  ...more,
});

/** What happens before anything is sent. */
const unsent = (message: string, details?: TokenErrorDetails): Failure => failure("request_failed", message, details, { sent: false });

/** A report, for which callers wait, has this long, in milliseconds. */
const REPORT_MS = 2500;

/** What is sent to the provider. */
export interface Provider {
  readonly ask: () => Promise<Answer | Failure>;
  /** Tells it that a service refused this token; `true` where it has heard that. */
  readonly report: (token: string) => Promise<boolean | Failure>;
}

/** Returns the functions that send one request each. */
export function providerAt(url: string | URL, options: TokenClientOptions, send: Fetch, clock: Clock): Provider {
  checkUrl(url);
  checkOptions(options);
  const { ttl, profile, scope, headers, credentials, timeoutMs = 15_000 } = options;
  const fallback = options.fallbackLifetime ?? Math.min(60, (ttl ?? 3600) / 4);
  const given = String(url);
  const target = (): URL => {
    // Not before it is used: a module that a server renders, too, has no page to take the origin from.
    const target = new URL(given, base());
    for (const [name, value] of Object.entries({ ttl, profile, scope })) {
      if (value !== undefined) target.searchParams.set(name, String(value));
    }
    return target;
  };

  const answer = async (response: Response): Promise<Answer | Failure> => {
    if (!response.ok) return refusal(response, clock.now());
    const token = (await response.text()).trim();
    // RFC 6750 §2.1, b64token. A proxy's page with status 200 is no token, and must not get into a header.
    return /^[\w.~+/-]+=*$/.test(token)
      ? { token, lifetime: lifetimeS(response.headers, fallback) }
      : failure("invalid_response", "the answer of the token provider is not a token", { status: response.status });
  };

  const exchange = <T>(where: () => URL, limitMs: number, what: RequestInit, read: (response: Response) => Promise<T>): Promise<T | Failure> =>
    new Promise((resolve) => {
      const controller = new AbortController();
      const { signal } = controller;
      let waiting = unsent(`\`headers\` took longer than ${limitMs} ms`);
      const timer = clock.setTimeout(
        () => {
          // Resolved before aborting: a `fetch` that ignores its signal, and answers later, is not heard any more.
          resolve({ ...waiting, code: "timeout" });
          controller.abort();
        },
        Math.min(MAX_TIMER_MS, limitMs),
      );
      const steps = async (): Promise<T | Failure> => {
        let address: URL;
        try {
          address = where();
        } catch {
          return unsent(`${given} is relative, and there is no page here whose origin it could have: give the whole address`);
        }
        let ready: HeadersLike;
        try {
          ready = typeof headers === "function" ? await headers() : headers;
        } catch (cause) {
          return unsent("`headers` threw an error, see `cause`", { cause });
        }
        const valid = headersOf(ready);
        if (!valid) return unsent(BAD_HEADERS);
        if (signal.aborted) return waiting;
        // After the caller's, one of which may be for its own requests.
        if (what.body) valid.set("Content-Type", "application/x-www-form-urlencoded");
        waiting = failure("timeout", `the token provider did not answer within ${limitMs} ms`);
        try {
          // No `cache`: older Cloudflare Workers refuse it, and the provider says `no-store`.
          // A redirect leads to a log-in page, or takes an API key to another origin.
          return await read(await send(address.href, { ...what, headers: valid, redirect: "manual", signal, ...(credentials && { credentials }) }));
        } catch (cause) {
          return failure("request_failed", noAnswer(address), { cause });
        }
      };
      steps().then((outcome) => {
        clock.clearTimeout(timer);
        resolve(outcome);
      });
    });

  return {
    ask: () => exchange(target, timeoutMs, {}, answer),
    // RFC 7009 §2, beside the address of the token. An answer with a body is not from the provider.
    report: (token) =>
      exchange(
        () => new URL("oauth2/revoke", target()),
        Math.min(timeoutMs, REPORT_MS),
        { method: "POST", body: new URLSearchParams({ token }) },
        async (response) => !(await response.text()) && response.ok,
      ),
  };
}

const BAD_HEADERS = "`headers` has a name or value that no HTTP header can have";

/** Not with the platform's own error, whose message has the value in it. */
function headersOf(given: HeadersLike): Headers | undefined {
  try {
    return new Headers(given);
  } catch {
    return undefined;
  }
}

/** A browser does not tell a page why it has no answer, so the message names what it can be. */
function noAnswer({ origin, pathname, protocol }: URL): string {
  const page = globalThis.location?.origin;
  const down = `no answer from ${origin}${pathname}: it is down`;
  if (!page || page === origin) return `${down}, or cannot be reached from here`;
  const mixed = page.startsWith("https:") && protocol === "http:" ? ", or the browser allows no plain http from https (mixed content)" : "";
  return `${down}, or does not let pages of ${page} ask (CORS)${mixed}`;
}

function checkUrl(url: string | URL): void {
  // Any base will do: whether it needs one is seen when it is used.
  if (!/^https?:$/.test(new URL(url, "http://localhost").protocol)) {
    throw new TypeError(`${url} is no http or https address; is http:// missing?`);
  }
}

function checkOptions({ ttl, timeoutMs, fallbackLifetime, headers }: TokenClientOptions): void {
  if (ttl !== undefined && !(Number.isInteger(ttl) && ttl >= 60 && ttl <= MAX_LIFETIME_S)) {
    const seconds = ttl / 1000;
    const hint = Number.isInteger(seconds) && seconds >= 60 && seconds <= MAX_LIFETIME_S ? `; that looks like milliseconds, write ${seconds}` : "";
    throw new TypeError(`ttl must be a whole number of seconds from 60 to ${MAX_LIFETIME_S}, not ${ttl}${hint}`);
  }
  for (const [name, value] of Object.entries({ timeoutMs, fallbackLifetime })) {
    if (value !== undefined && !(typeof value === "number" && value > 0)) throw new TypeError(`${name} must be a number above 0, not ${value}`);
  }
  if (typeof headers !== "function" && !headersOf(headers)) throw new TypeError(BAD_HEADERS);
}

/** Reads an error answer: RFC 6749 §5.2 JSON from the provider, anything from what stands in front of it. */
async function refusal(response: Response, now: number): Promise<Failure> {
  const body: Record<string, unknown> = (await response.json().catch(() => null)) ?? {};
  const text = (name: string): string | undefined => (typeof body[name] === "string" ? body[name] : undefined);
  const { status, headers } = response;
  const error = text("error");
  const description = text("error_description");
  return failure(
    error || "http_error",
    `the token provider answered ${status || "with a redirect"}${error ? ` ${error}` : ""}${description ? `: ${description}` : ""}`,
    { status, requestId: text("request_id") ?? headers.get("x-request-id") ?? undefined },
    { retryAfterMs: retryAfterMs(headers, now) },
  );
}
