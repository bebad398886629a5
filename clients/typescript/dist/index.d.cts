/*! token-provider-client 0.1.0, SPDX-License-Identifier: Apache-2.0 */
/**
 * Why there is no token.
 *
 * - `request_failed`: no answer. The provider is down or unreachable, its name is unknown, TLS failed, or the browser
 *   withheld the answer (CORS); or nothing was sent, because the `headers` function threw or a relative address has no
 *   page. The message says which; `cause` has the platform's error, or what `headers` threw.
 * - `timeout`: no answer within `timeoutMs`.
 * - `invalid_response`: an answer that is no token (a proxy's page), or a token that had expired when it came.
 * - `http_error`: an error status without a JSON `error`; a redirect counts as one (`status` 0 in a browser).
 * - `origin_not_allowed`: `fetch()` was called with a URL outside `allowedOrigins`; nothing was sent.
 * - anything else is the provider's own `error`, such as `access_denied` or `temporarily_unavailable`.
 */
export type TokenErrorCode = "request_failed" | "timeout" | "invalid_response" | "http_error" | "origin_not_allowed" | "invalid_request" | "invalid_scope" | "invalid_token" | "access_denied" | "slow_down" | "issuer_rejected" | "temporarily_unavailable" | "issuer_timeout" | (string & {});
/** What is known beside code and message; see the properties of {@link TokenError}. */
export interface TokenErrorDetails {
    readonly status?: number | undefined;
    readonly retryAfter?: number | undefined;
    readonly requestId?: string | undefined;
    readonly cause?: unknown;
}
/** The failure of a token request. `code` is stable, the message is for people. */
export declare class TokenError extends Error {
    readonly name = "TokenError";
    /** Why there is no token; does not change between releases. */
    readonly code: TokenErrorCode;
    /** HTTP status of the provider's answer, where there was one. */
    readonly status: number | undefined;
    /** Seconds until the provider is asked again; calls before that fail at once with this same code. */
    readonly retryAfter: number | undefined;
    /** The provider's request id, to find the request in its log. */
    readonly requestId: string | undefined;
    constructor(code: TokenErrorCode, message: string, details?: TokenErrorDetails);
}
/** `fetch` of the platform, or anything that behaves like it. */
export type Fetch = typeof globalThis.fetch;
/** What the `Headers` constructor takes. */
export type HeadersLike = ConstructorParameters<typeof Headers>[0];
/** Options of `createTokenClient`; all may be left out. */
export interface TokenClientOptions {
    /** Lifetime to ask for, in seconds, 60 to 86400. Default: the provider's, 3600. The provider rounds it down to one of its steps. */
    ttl?: number | undefined;
    /** Profile to ask for: a name from the provider's configuration. Default: the provider's default profile. */
    profile?: string | undefined;
    /** Scope to ask for: a project HRN that the provider's configuration lists. Default: the profile's scope. */
    scope?: string | undefined;
    /**
     * Headers of the token request, such as `{ "X-API-Key": … }`; a function is called for each request, and may throw where
     * nobody is signed in. They go to the provider only, never to a data service. Default: none.
     */
    headers?: HeadersLike | (() => HeadersLike | Promise<HeadersLike>) | undefined;
    /** Whether the token request carries cookies, as in `RequestInit`. Default: `"same-origin"`. */
    credentials?: "omit" | "same-origin" | "include" | undefined;
    /** Used for token requests and by `fetch()`. Default: the global `fetch`, looked up at each call. */
    fetch?: Fetch | undefined;
    /**
     * Origins that `fetch()` may send the token to, such as `"https://data.example.com"` or, for all subdomains,
     * `"https://*.hereapi.com"`. Any other URL is refused before anything is sent. Plain http is for loopback alone, and a
     * rule that could match nothing, or all of `.com`, is an error.
     * Default: HERE's services, `"https://*.hereapi.com"` and `"https://*.here.com"`, and loopback.
     */
    allowedOrigins?: readonly string[] | undefined;
    /**
     * Time for one token request, `headers` and body included, in milliseconds; `Infinity` for no limit. Default: 15000, above
     * the provider's own 10 s.
     */
    timeoutMs?: number | undefined;
    /**
     * Lifetime to assume for a token that comes without `Token-Expires-In` (some other back end, or a proxy that
     * strips the header), in seconds. Default: a quarter of `ttl`, which is what the provider promises, at most 60.
     */
    fallbackLifetime?: number | undefined;
    /** Called after each failed token request, those behind the caller's back included. What it throws goes to the console. Default: none. */
    onError?: ((error: TokenError) => unknown) | undefined;
    /** Stand-in for time, timers and randomness, for tests. Default: the machine's. */
    clock?: Clock | undefined;
}
/** Time, timers and randomness. */
export interface Clock {
    /** Milliseconds of wall time, as `Date.now()`. */
    now(): number;
    /** Milliseconds that never run backwards, as `performance.now()`. */
    monotonic(): number;
    /** Evenly spread in [0, 1), as `Math.random()`. */
    random(): number;
    setTimeout(run: () => void, milliseconds: number): unknown;
    clearTimeout(timer: unknown): void;
}
/** Options of one call. */
export interface CallOptions {
    /** Ends this caller's wait, with the signal's reason; the shared token request goes on for the others. */
    signal?: AbortSignal | null | undefined;
}
/** What is held, for a display. The token itself is not in it. */
export interface TokenStatus {
    /** `fresh` and `due` (about to be refreshed) are usable, `expired` is not. */
    readonly state: "none" | "fresh" | "due" | "expired";
    /** Seconds left, by the stricter of the two clocks; 0 when there is none. */
    readonly expiresIn: number;
    /** Seconds that were left when the token was asked for; 0 when there is none. */
    readonly lifetime: number;
    /** When it was asked for, in milliseconds as `Date.now()`. */
    readonly refreshedAt: number | undefined;
    /** Token requests sent so far. */
    readonly requests: number;
    /** Times a token was handed to a caller so far. */
    readonly handouts: number;
    /** The last token request's failure; `undefined` once one has succeeded. */
    readonly error: TokenError | undefined;
}
/** Hands out the current token. No method needs `this`: take them out and pass them on as callbacks. */
export interface TokenClient {
    /**
     * Returns the bare access token, at once while a usable one is held.
     *
     * @throws {@link TokenError} when none is held and none can be had; the signal's reason when it was aborted.
     */
    getToken(options?: CallOptions): Promise<string>;
    /** The same function as `getToken`, under the name that other HERE clients use. */
    getBearerToken(options?: CallOptions): Promise<string>;
    /** Returns the value of an `Authorization` header: `Bearer`, a space, the token. Fails as `getToken` does. */
    authHeader(options?: CallOptions): Promise<string>;
    /**
     * Returns the bare token that is held and usable now, else `undefined`, for callbacks that cannot wait.
     * Where there is none, or it is due, the provider is asked behind the caller.
     */
    peekToken(): string | undefined;
    /**
     * Like the platform's `fetch`, with `Authorization: Bearer …` set and nothing else changed.
     *
     * On a 401 the token is invalidated and the request sent once more with another one, where the provider has one
     * and the body can be sent twice (not a stream, and of a `Request` up to 1 MiB); else the 401 is returned. Where it came from
     * one of HERE's services, the provider is told first (`POST oauth2/revoke`, once for each token), so that it has another one.
     *
     * @throws {@link TokenError} when there is no token, or the URL is outside `allowedOrigins`; else as `fetch` does.
     */
    fetch: Fetch;
    /**
     * With the token that a service has refused, or the value of `authHeader()`: asks for another one at the next call, and goes
     * on with this one only while the provider has no other. Does nothing when that token is no longer held, and at most once in
     * ten seconds, so that a hundred refused tiles cost one token request.
     *
     * Without argument (or with an event): drops the held token, and the one that a request under way brings, and ends the
     * pause after a failure, at most once in ten seconds. For "try again", and for another user.
     */
    invalidate(refused?: string): void;
    /** Returns what is held and what it cost, without the token. */
    status(): TokenStatus;
}
/**
 * Creates a client of the token provider at `url`, such as `http://localhost:3000/getToken`.
 *
 * Make one and share it: it holds the token (in memory only) for everybody who calls it. Nothing is sent until the
 * first call, and no request is made for a token that nobody uses.
 *
 * @example
 * ```js
 * const { getBearerToken } = createTokenClient("http://localhost:3000/getToken", { ttl: 3600 });
 * new DataInspector({ getBearerToken });
 * ```
 *
 * @throws TypeError where `url` or an option is malformed.
 */
export declare function createTokenClient(url: string | URL, options?: TokenClientOptions): TokenClient;
