// TokenError: what went wrong, in terms that a program can act on. It never holds a token or a request header.

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
export type TokenErrorCode =
  | "request_failed"
  | "timeout"
  | "invalid_response"
  | "http_error"
  | "origin_not_allowed"
  | "invalid_request"
  | "invalid_scope"
  | "invalid_token"
  | "access_denied"
  | "slow_down"
  | "issuer_rejected"
  | "temporarily_unavailable"
  | "issuer_timeout"
  | (string & {});

/** What is known beside code and message; see the properties of {@link TokenError}. */
export interface TokenErrorDetails {
  readonly status?: number | undefined;
  readonly retryAfter?: number | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/** The failure of a token request. `code` is stable, the message is for people. */
export class TokenError extends Error {
  override readonly name = "TokenError";
  /** Why there is no token; does not change between releases. */
  readonly code: TokenErrorCode;
  /** HTTP status of the provider's answer, where there was one. */
  readonly status: number | undefined;
  /** Seconds until the provider is asked again; calls before that fail at once with this same code. */
  readonly retryAfter: number | undefined;
  /** The provider's request id, to find the request in its log. */
  readonly requestId: string | undefined;

  constructor(code: TokenErrorCode, message: string, details: TokenErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.status = details.status;
    this.retryAfter = details.retryAfter;
    this.requestId = details.requestId;
  }
}
