// `fetch` with the token: sets Authorization and nothing else, and sends once more after a 401, and reports the token if the 401
// came from HERE.

import { base } from "./base.js";
import { TokenError } from "./error.js";
import type { Keeper } from "./keeper.js";
import type { Fetch } from "./types.js";

/** HERE's own services, which the token is for. */
const HERE = ["https://*.hereapi.com", "https://*.here.com"];

/** Origins of this machine, for trying things out. Nothing that is sent there crosses a network. */
const LOOPBACK = /^https?:\/\/(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/;

/** Longest body of a `Request` that is kept for a second attempt, in bytes: above what is posted to an API, below an upload. */
const MAX_KEPT_BODY = 1024 * 1024;

/** Returns a `fetch` that sends the keeper's token to the allowed origins. */
export function authorizedFetch(keeper: Keeper, send: Fetch, allowedOrigins: readonly string[] | undefined): Fetch {
  const here = HERE.map(originRule);
  const allowed = allowedOrigins?.map(originRule) ?? [...here, (origin) => LOOPBACK.test(origin)];

  return async (input, init) => {
    const request = typeof input === "object" && "url" in input ? input : undefined;
    const { origin } = new URL(request?.url ?? String(input), base());
    if (!allowed.some((allows) => allows(origin))) {
      throw new TokenError("origin_not_allowed", `${origin} is not in allowedOrigins (default: HERE, loopback), nothing was sent`);
    }
    const signal = init?.signal ?? request?.signal;
    const attempt = (token: string, body?: Blob): Promise<Response> => {
      const headers = new Headers(init?.headers ?? request?.headers);
      headers.set("Authorization", `Bearer ${token}`);
      return send(input, { ...init, ...(body && { body }), headers });
    };

    const token = await keeper.token({ signal });
    const body = again(request, init?.body);
    const response = await attempt(token);
    if (response.status !== 401) return response;
    // After a redirect to another origin, the token did not go along.
    const isOfHere = here.some((isHere) => isHere(origin)) && (!response.url || new URL(response.url).origin === origin);
    if (isOfHere) keeper.refuse(token);
    else keeper.invalidate(token);
    const kept = await body;
    if (kept === false) return response;
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
    return attempt(next, kept);
  };
}

/**
 * The body for a second attempt: `false` where it cannot be sent again, `undefined` where that takes no other body.
 * A stream is gone after the first attempt, and so is the body of a `Request`, of which a copy is read along.
 */
async function again(request: Request | undefined, body: unknown): Promise<Blob | undefined | false> {
  if (body !== undefined && body !== null) return typeof body !== "object" || !("getReader" in body || Symbol.asyncIterator in body) ? undefined : false;
  // Firefox has no `Request.body`; there, all but what cannot have one is copied.
  if (!request || request.body === null || /^(GET|HEAD)$/.test(request.method)) return undefined;
  try {
    return await copyOf(request.clone());
  } catch {
    // Used up before it came here, or a stream that fails: the first attempt tells.
    return false;
  }
}

async function copyOf(request: Request): Promise<Blob | undefined | false> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  for (let chunk = await reader?.read(); chunk?.value; chunk = await reader!.read()) {
    size += chunk.value.byteLength;
    chunks.push(chunk.value);
    if (size > MAX_KEPT_BODY) {
      reader!.cancel().catch(() => {});
      return false;
    }
  }
  const copy = reader ? new Blob(chunks) : await request.blob();
  return copy.size ? copy : undefined;
}

/**
 * Reads `https://data.example.com`, or `https://*.example.com` for every subdomain; throws where it is no URL, could match
 * nothing, or is plain http, on which everybody on the way could read the token.
 */
function originRule(rule: string): (origin: string) => boolean {
  const wrong = (why: string): TypeError => new TypeError(`allowedOrigins: ${rule} ${why}`);
  // Chrome writes a `*` in a host as `%2A`: it must not get into a URL.
  const host = rule.replace("://*.", "://");
  if (host.includes("*")) throw wrong("has a star in a place other than the beginning, as in https://*.example.com");
  if (!URL.canParse(host)) throw wrong("is no origin such as https://data.example.com");
  const { origin, hostname } = new URL(host);
  if (!origin.startsWith("https:") && !LOOPBACK.test(origin)) throw wrong("is not https");
  if (host === rule) return (other) => other === origin;
  // An address has no subdomains, and all of `.com` is not one owner's.
  if (!/^[^.]+(\.[^.]+)*\.[^.\d][^.]*$/.test(hostname)) throw wrong("does not name a domain that can have subdomains, such as example.com");
  const [scheme, domain] = origin.split("://");
  return (other) => other.startsWith(`${scheme}://`) && other.endsWith(`.${domain}`);
}
