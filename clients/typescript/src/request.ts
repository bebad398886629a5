// One token request: a token, or the reason why not. It never throws, waits at most `timeoutMs`, and keeps nothing.

import type { TokenErrorCode, TokenErrorDetails } from "./error.js";
import { lifetimeS, retryAfterMs } from "./schedule.js";
import type { Clock, Fetch, TokenClientOptions } from "./types.js";

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
}

const failure = (code: TokenErrorCode, message: string, details: TokenErrorDetails = {}, retryAfterMs = 0): Failure => ({
  code,
  message,
  retryAfterMs,
  details,
});

/** Returns the function that sends one request. */
export function tokenRequest(
  url: string | URL,
  options: TokenClientOptions,
  send: Fetch,
  clock: Clock,
): () => Promise<Answer | Failure> {
  const { ttl, profile, scope, headers, credentials, timeoutMs = 15_000 } = options;
  if (ttl !== undefined && !(Number.isInteger(ttl) && ttl > 0)) throw new TypeError("ttl must be a whole number of seconds");
  const fallback = options.fallbackLifetime ?? Math.min(60, (ttl ?? 3600) / 4);
  // A page may write "/getToken"; elsewhere there is no base and a relative URL is an error at once, not at the first tile.
  const target = new URL(url, globalThis.location?.href);
  for (const [name, value] of Object.entries({ ttl, profile, scope })) {
    if (value !== undefined) target.searchParams.set(name, String(value));
  }

  const attempt = async (signal: AbortSignal): Promise<Answer | Failure> => {
    const response = await send(target.href, {
      headers: new Headers(await (typeof headers === "function" ? headers() : headers)),
      // A redirect leads to a log-in page, or takes an API key to another origin.
      redirect: "manual",
      cache: "no-store",
      signal,
      ...(credentials && { credentials }),
    });
    if (!response.ok) return refusal(response, clock.now());
    const token = (await response.text()).trim();
    // RFC 6750 §2.1, b64token. A proxy's page with status 200 is no token, and must not get into a header.
    return /^[\w.~+/-]+=*$/.test(token)
      ? { token, lifetime: lifetimeS(response.headers, fallback) }
      : failure("invalid_response", "the answer of the token provider is not a token", { status: response.status });
  };

  return () =>
    new Promise((resolve) => {
      const controller = new AbortController();
      const timer = clock.setTimeout(() => {
        // Resolved before aborting: a `fetch` that ignores its signal, and answers later, is not heard any more.
        resolve(failure("timeout", `the token provider did not answer within ${timeoutMs} ms`));
        controller.abort();
      }, timeoutMs);
      attempt(controller.signal)
        .catch((cause: unknown) => failure("request_failed", "the token provider could not be reached", { cause }))
        .then((outcome) => {
          clock.clearTimeout(timer);
          resolve(outcome);
        });
    });
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
    retryAfterMs(headers, now),
  );
}
