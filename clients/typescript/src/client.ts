// createTokenClient: puts provider, keeper and fetch together.

import { systemClock } from "./clock.js";
import { authorizedFetch } from "./fetch.js";
import { Keeper } from "./keeper.js";
import { providerAt } from "./request.js";
import type { Fetch, TokenClient, TokenClientOptions } from "./types.js";

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
export function createTokenClient(url: string | URL, options: TokenClientOptions = {}): TokenClient {
  const { clock = systemClock, allowedOrigins, onError } = options;
  // Called as a plain function: a browser's `fetch` refuses to be the method of another object.
  const send: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const keeper = new Keeper(providerAt(url, options, send, clock), clock, onError);
  return {
    getToken: keeper.token,
    getBearerToken: keeper.token,
    authHeader: async (call) => `Bearer ${await keeper.token(call)}`,
    peekToken: keeper.peek,
    fetch: authorizedFetch(keeper, send, allowedOrigins),
    invalidate: keeper.invalidate,
    status: keeper.status,
  };
}
