// `fetch` with the token: sets Authorization and nothing else, and sends once more after a 401.

import { TokenError } from "./error.js";
import type { Keeper } from "./keeper.js";
import type { Fetch } from "./types.js";

/** HERE's own services, which the token is for. */
const HERE = ["https://*.hereapi.com", "https://*.here.com"];

/** Origins of this machine, for trying things out. Nothing that is sent there crosses a network. */
const LOOPBACK = /^https?:\/\/(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/;

/** Returns a `fetch` that sends the keeper's token to the allowed origins. */
export function authorizedFetch(keeper: Keeper, send: Fetch, allowedOrigins: readonly string[] | undefined): Fetch {
  const allowed = (allowedOrigins ?? HERE).map(originRule);
  if (!allowedOrigins) allowed.push((origin) => LOOPBACK.test(origin));

  return async (input, init) => {
    const request = typeof input === "string" || input instanceof URL ? undefined : input;
    const { origin } = new URL(request?.url ?? String(input), globalThis.location?.href);
    if (!allowed.some((allows) => allows(origin))) {
      throw new TokenError("origin_not_allowed", `${origin} is not in allowedOrigins (default: HERE, loopback), nothing was sent`);
    }
    const signal = init?.signal ?? request?.signal;
    const attempt = (token: string): Promise<Response> => {
      const headers = new Headers(init?.headers ?? request?.headers);
      headers.set("Authorization", `Bearer ${token}`);
      return send(input, { ...init, headers });
    };

    const token = await keeper.token({ signal });
    const response = await attempt(token);
    if (response.status !== 401) return response;
    keeper.invalidate(token);
    if (!repeatable(request, init?.body)) return response;
    let next: string;
    try {
      next = await keeper.token({ signal });
    } catch {
      // The service's own answer says more than that there is no other token.
      signal?.throwIfAborted();
      return response;
    }
    if (next === token) return response;
    // Unread, it would keep its connection busy.
    response.body?.cancel().catch(() => {});
    return attempt(next);
  };
}

/** Whether the body can be sent twice. A stream is gone after the first time, and keeping a copy could fill the memory. */
function repeatable(request: Request | undefined, body: unknown): boolean {
  // Firefox has no `Request.body`, so the method has to tell.
  if (body === undefined || body === null) return !request || /^(GET|HEAD)$/.test(request.method);
  return typeof body !== "object" || !("getReader" in body || Symbol.asyncIterator in body);
}

/**
 * Reads `https://data.example.com`, or `https://*.example.com` for every subdomain; throws where it is no URL, or plain
 * http, on which everybody on the way could read the token.
 */
function originRule(rule: string): (origin: string) => boolean {
  // Chrome writes a `*` in a host as `%2A`: it must not get into a URL.
  const { origin } = new URL(rule.replace("://*.", "://"));
  if (!origin.startsWith("https:") && !LOOPBACK.test(origin)) throw new TypeError(`allowedOrigins: ${rule} is not https`);
  if (!rule.includes("://*.")) return (other) => other === origin;
  const [scheme, domain] = origin.split("://");
  return (other) => other.startsWith(`${scheme}://`) && other.endsWith(`.${domain}`);
}
