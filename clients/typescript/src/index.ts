// token-provider-client: short-lived HERE access tokens from a token-provider, kept fresh in memory.

export { createTokenClient } from "./client.js";
export { TokenError, type TokenErrorCode, type TokenErrorDetails } from "./error.js";
export type { CallOptions, Clock, Fetch, HeadersLike, TokenClient, TokenClientOptions, TokenStatus } from "./types.js";
