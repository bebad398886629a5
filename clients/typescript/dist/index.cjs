/*! token-provider-client 0.1.0, SPDX-License-Identifier: Apache-2.0 */
"use strict";
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// src/index.ts
var index_exports = {};
__export(index_exports, {
  TokenError: () => TokenError,
  createTokenClient: () => createTokenClient
});
module.exports = __toCommonJS(index_exports);

// src/clock.ts
var systemClock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  setTimeout: (run, milliseconds) => setTimeout(run, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer)
};
function unref(timer) {
  const { unref: unref2 } = Object(timer);
  if (unref2) unref2.call(timer);
  else if (typeof Deno !== "undefined") Deno.unrefTimer?.(timer);
}

// src/base.ts
var base = () => globalThis.document?.baseURI ?? globalThis.location?.href;

// src/error.ts
var TokenError = class extends Error {
  name = "TokenError";
  /** Why there is no token; does not change between releases. */
  code;
  /** HTTP status of the provider's answer, where there was one. */
  status;
  /** Seconds until the provider is asked again; calls before that fail at once with this same code. */
  retryAfter;
  /** The provider's request id, to find the request in its log. */
  requestId;
  constructor(code, message, details = {}) {
    super(message, details.cause === void 0 ? {} : { cause: details.cause });
    this.code = code;
    this.status = details.status;
    this.retryAfter = details.retryAfter;
    this.requestId = details.requestId;
  }
};

// src/fetch.ts
var HERE = ["https://*.hereapi.com", "https://*.here.com"];
var LOOPBACK = /^https?:\/\/(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/;
var MAX_KEPT_BODY = 1024 * 1024;
function authorizedFetch(keeper, send, allowedOrigins) {
  const here = HERE.map(originRule);
  const allowed = allowedOrigins?.map(originRule) ?? [...here, (origin) => LOOPBACK.test(origin)];
  return async (input, init) => {
    const request = typeof input === "object" && "url" in input ? input : void 0;
    const { origin } = new URL(request?.url ?? String(input), base());
    if (!allowed.some((allows) => allows(origin))) {
      throw new TokenError("origin_not_allowed", `${origin} is not in allowedOrigins (default: HERE, loopback), nothing was sent`);
    }
    const signal = init?.signal ?? request?.signal;
    const attempt = (token2, body2) => {
      const headers = new Headers(init?.headers ?? request?.headers);
      headers.set("Authorization", `Bearer ${token2}`);
      return send(input, { ...init, ...body2 && { body: body2 }, headers });
    };
    const token = await keeper.token({ signal });
    const body = again(request, init?.body);
    const response = await attempt(token);
    if (response.status !== 401) return response;
    const isOfHere = here.some((isHere) => isHere(origin)) && (!response.url || new URL(response.url).origin === origin);
    if (isOfHere) keeper.refuse(token);
    else keeper.invalidate(token);
    const kept = await body;
    if (kept === false) return response;
    let next;
    try {
      next = await keeper.token({ signal });
    } catch {
      signal?.throwIfAborted();
      return response;
    }
    if (next === token) return response;
    response.body?.cancel().catch(() => {
    });
    return attempt(next, kept);
  };
}
async function again(request, body) {
  if (body !== void 0 && body !== null) return typeof body !== "object" || !("getReader" in body || Symbol.asyncIterator in body) ? void 0 : false;
  if (!request || request.body === null || /^(GET|HEAD)$/.test(request.method)) return void 0;
  try {
    return await copyOf(request.clone());
  } catch {
    return false;
  }
}
async function copyOf(request) {
  const chunks = [];
  let size = 0;
  const reader = request.body?.getReader();
  for (let chunk = await reader?.read(); chunk?.value; chunk = await reader.read()) {
    size += chunk.value.byteLength;
    chunks.push(chunk.value);
    if (size > MAX_KEPT_BODY) {
      reader.cancel().catch(() => {
      });
      return false;
    }
  }
  const copy = reader ? new Blob(chunks) : await request.blob();
  return copy.size ? copy : void 0;
}
function originRule(rule) {
  const wrong = (why) => new TypeError(`allowedOrigins: ${rule} ${why}`);
  const host = rule.replace("://*.", "://");
  if (host.includes("*")) throw wrong("has a star in a place other than the beginning, as in https://*.example.com");
  if (!URL.canParse(host)) throw wrong("is no origin such as https://data.example.com");
  const { origin, hostname } = new URL(host);
  if (!origin.startsWith("https:") && !LOOPBACK.test(origin)) throw wrong("is not https");
  if (host === rule) return (other) => other === origin;
  if (!/^[^.]+(\.[^.]+)*\.[^.\d][^.]*$/.test(hostname)) throw wrong("does not name a domain that can have subdomains, such as example.com");
  const [scheme, domain] = origin.split("://");
  return (other) => other.startsWith(`${scheme}://`) && other.endsWith(`.${domain}`);
}

// src/schedule.ts
var MAX_LIFETIME_S = 86400;
var MAX_TIMER_MS = 2 ** 31 - 1;
var FIRST_PAUSE_MS = 1e3;
var MAX_PAUSE_MS = 3e4;
var MAX_RETRY_AFTER_MS = 36e5;
var marginMs = (lifetimeMs) => Math.min(1e4, lifetimeMs / 10);
var dueLeftMs = (lifetimeMs, random) => lifetimeMs * (0.25 + 0.1 * random);
var RETRY_AFTER_JITTER = 0.1;
var pauseMs = (failures, retryAfterMs2, random) => Math.max(retryAfterMs2 * (1 + RETRY_AFTER_JITTER * random), Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1)) * (0.5 + random / 2));
var retryAfterMs = (headers, now) => {
  const value = headers.get("retry-after") ?? "";
  const wait = /^\d+$/.test(value) ? Number(value) * 1e3 : httpDate(value) - (httpDate(headers.get("date") ?? "") || now);
  return Math.min(MAX_RETRY_AFTER_MS, Math.max(0, wait || 0));
};
var lifetimeS = (headers, fallback) => {
  const value = headers.get("token-expires-in") ?? "";
  return Math.min(MAX_LIFETIME_S, /^\d+$/.test(value) ? Number(value) : fallback);
};
var httpDate = (value) => {
  const date = new Date(value);
  return date.getTime() && date.toUTCString() === value ? date.getTime() : NaN;
};

// src/request.ts
var failure = (code, message, details = {}, more = {}) => ({
  code,
  message,
  retryAfterMs: 0,
  details,
  sent: true,
  ...more
});
var unsent = (message, details) => failure("request_failed", message, details, { sent: false });
var REPORT_MS = 2500;
function providerAt(url, options, send, clock) {
  checkUrl(url);
  checkOptions(options);
  const { ttl, profile, scope, headers, credentials, timeoutMs = 15e3 } = options;
  const fallback = options.fallbackLifetime ?? Math.min(60, (ttl ?? 3600) / 4);
  const given = String(url);
  const target = () => {
    const target2 = new URL(given, base());
    for (const [name, value] of Object.entries({ ttl, profile, scope })) {
      if (value !== void 0) target2.searchParams.set(name, String(value));
    }
    return target2;
  };
  const answer = async (response) => {
    if (!response.ok) return refusal(response, clock.now());
    const token = (await response.text()).trim();
    return /^[\w.~+/-]+=*$/.test(token) ? { token, lifetime: lifetimeS(response.headers, fallback) } : failure("invalid_response", "the answer of the token provider is not a token", { status: response.status });
  };
  const exchange = (where, limitMs, what, read) => new Promise((resolve) => {
    const controller = new AbortController();
    const { signal } = controller;
    let waiting = unsent(`\`headers\` took longer than ${limitMs} ms`);
    const timer = clock.setTimeout(
      () => {
        resolve({ ...waiting, code: "timeout" });
        controller.abort();
      },
      Math.min(MAX_TIMER_MS, limitMs)
    );
    const steps = async () => {
      let address;
      try {
        address = where();
      } catch {
        return unsent(`${given} is relative, and there is no page here whose origin it could have: give the whole address`);
      }
      let ready;
      try {
        ready = typeof headers === "function" ? await headers() : headers;
      } catch (cause) {
        return unsent("`headers` threw an error, see `cause`", { cause });
      }
      const valid = headersOf(ready);
      if (!valid) return unsent(BAD_HEADERS);
      if (signal.aborted) return waiting;
      if (what.body) valid.set("Content-Type", "application/x-www-form-urlencoded");
      waiting = failure("timeout", `the token provider did not answer within ${limitMs} ms`);
      try {
        return await read(await send(address.href, { ...what, headers: valid, redirect: "manual", signal, ...credentials && { credentials } }));
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
    report: (token) => exchange(
      () => new URL("oauth2/revoke", target()),
      Math.min(timeoutMs, REPORT_MS),
      { method: "POST", body: new URLSearchParams({ token }) },
      async (response) => !await response.text() && response.ok
    )
  };
}
var BAD_HEADERS = "`headers` has a name or value that no HTTP header can have";
function headersOf(given) {
  try {
    return new Headers(given);
  } catch {
    return void 0;
  }
}
function noAnswer({ origin, pathname, protocol }) {
  const page = globalThis.location?.origin;
  const down = `no answer from ${origin}${pathname}: it is down`;
  if (!page || page === origin) return `${down}, or cannot be reached from here`;
  const mixed = page.startsWith("https:") && protocol === "http:" ? ", or the browser allows no plain http from https (mixed content)" : "";
  return `${down}, or does not let pages of ${page} ask (CORS)${mixed}`;
}
function checkUrl(url) {
  if (!/^https?:$/.test(new URL(url, "http://localhost").protocol)) {
    throw new TypeError(`${url} is no http or https address; is http:// missing?`);
  }
}
function checkOptions({ ttl, timeoutMs, fallbackLifetime, headers }) {
  if (ttl !== void 0 && !(Number.isInteger(ttl) && ttl >= 60 && ttl <= MAX_LIFETIME_S)) {
    const seconds = ttl / 1e3;
    const hint = Number.isInteger(seconds) && seconds >= 60 && seconds <= MAX_LIFETIME_S ? `; that looks like milliseconds, write ${seconds}` : "";
    throw new TypeError(`ttl must be a whole number of seconds from 60 to ${MAX_LIFETIME_S}, not ${ttl}${hint}`);
  }
  for (const [name, value] of Object.entries({ timeoutMs, fallbackLifetime })) {
    if (value !== void 0 && !(typeof value === "number" && value > 0)) throw new TypeError(`${name} must be a number above 0, not ${value}`);
  }
  if (typeof headers !== "function" && !headersOf(headers)) throw new TypeError(BAD_HEADERS);
}
async function refusal(response, now) {
  const body = await response.json().catch(() => null) ?? {};
  const text = (name) => typeof body[name] === "string" ? body[name] : void 0;
  const { status, headers } = response;
  const error = text("error");
  const description = text("error_description");
  return failure(
    error || "http_error",
    `the token provider answered ${status || "with a redirect"}${error ? ` ${error}` : ""}${description ? `: ${description}` : ""}`,
    { status, requestId: text("request_id") ?? headers.get("x-request-id") ?? void 0 },
    { retryAfterMs: retryAfterMs(headers, now) }
  );
}

// src/keeper.ts
var INVALIDATE_PAUSE_MS = 1e4;
var SUCCESSOR_MS = [250, 750, 1500];
var Keeper = class {
  #provider;
  #clock;
  #onError;
  #held;
  #flight;
  #failed;
  #failures = 0;
  #pausedUntil = -Infinity;
  /** The token that HERE refused last, and, until it is reported, the one to report. */
  #refused;
  #unreported;
  /** Whether the next `online` event will be heard. */
  #listening = false;
  #refusedAgain = -Infinity;
  #resumedAgain = -Infinity;
  #timer;
  /** Whether anybody has taken the held token since the last request: one that nobody uses is dropped. */
  #wanted = false;
  /** How often the held token was dropped: what was asked for before that is dropped, too. */
  #drops = 0;
  /** How often a pause was ended from outside: a failure from before that makes no new one. */
  #resumed = 0;
  #requests = 0;
  #handouts = 0;
  constructor(provider, clock, onError) {
    this.#provider = provider;
    this.#clock = clock;
    this.#onError = onError;
  }
  token = async (options) => {
    const signal = options?.signal;
    signal?.throwIfAborted();
    const ready = this.#held?.refused ? void 0 : this.peek();
    if (ready) return ready;
    try {
      const next = await unlessAborted(this.#refresh(), signal);
      this.#handouts++;
      return next;
    } catch (reason) {
      const rest = signal?.aborted ? void 0 : this.peek();
      if (rest) return rest;
      throw reason;
    }
  };
  /** The held token where it can be handed out at once, refreshed behind the caller when due. */
  peek = () => {
    const current = this.#usable();
    if (!current || current.refused || this.#left(current) <= current.dueLeft) this.#refreshBehind();
    if (!current) return void 0;
    this.#wanted = true;
    this.#handouts++;
    return current.token;
  };
  invalidate = (refused) => {
    const now = this.#clock.monotonic();
    if (typeof refused !== "string") {
      this.#held = void 0;
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
  refuse(token) {
    this.invalidate(token);
    const held = this.#held;
    if (held?.refused && held.token === token && this.#refused !== token) this.#refused = this.#unreported = token;
  }
  status = () => {
    const held = this.#held;
    const left = held ? this.#left(held) : 0;
    return {
      state: !held ? "none" : !this.#usable() ? "expired" : held.refused || left <= held.dueLeft ? "due" : "fresh",
      expiresIn: Math.max(0, left / 1e3),
      lifetime: held ? held.lifetimeMs / 1e3 : 0,
      refreshedAt: held && held.wallExpiry - held.lifetimeMs,
      requests: this.#requests,
      handouts: this.#handouts,
      error: this.#failed && this.#error(this.#failed)
    };
  };
  #left(of) {
    return Math.min(of.wallExpiry - this.#clock.now(), of.monotonicExpiry - this.#clock.monotonic());
  }
  #usable() {
    return this.#held && this.#left(this.#held) > marginMs(this.#held.lifetimeMs) ? this.#held : void 0;
  }
  #paused() {
    return this.#clock.monotonic() < this.#pausedUntil;
  }
  #error({ code, message, details, sent }) {
    const pause = sent ? this.#pausedUntil - this.#clock.monotonic() : 0;
    return new TokenError(code, message, { ...details, retryAfter: Math.max(0, Math.ceil(pause / 1e3)) });
  }
  #arm(delay) {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#wanted && this.#refreshBehind(), Math.ceil(delay) + 1);
    unref(this.#timer);
  }
  #refresh() {
    return this.#flight ??= this.#request().finally(() => this.#flight = void 0);
  }
  #refreshBehind() {
    if (!this.#paused()) this.#refresh().catch(() => {
    });
  }
  async #request() {
    if (this.#failed?.sent && this.#paused()) throw this.#error(this.#failed);
    let waits = [];
    for (; ; ) {
      const refused = this.#unreported;
      this.#unreported = void 0;
      if (refused && await this.#provider.report(refused) === true) waits = [...SUCCESSOR_MS];
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
          await new Promise((resolve) => this.#clock.setTimeout(resolve, wait));
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
  #keep({ token, lifetime }, wall, monotonic) {
    const lifetimeMs = lifetime * 1e3;
    const next = {
      token,
      lifetimeMs,
      // From the moment of sending: what the answer took on its way is lost, never gained.
      wallExpiry: wall + lifetimeMs,
      monotonicExpiry: monotonic + lifetimeMs,
      dueLeft: dueLeftMs(lifetimeMs, this.#clock.random()),
      refused: false
    };
    if (this.#left(next) <= marginMs(lifetimeMs)) return false;
    this.#held = next;
    this.#unreported = void 0;
    this.#failed = void 0;
    this.#failures = 0;
    this.#arm(this.#left(next) - next.dueLeft);
    return true;
  }
  /** Begins a pause, and returns what to throw. */
  #fail(outcome) {
    this.#failed = outcome;
    const pause = pauseMs(outcome.sent ? ++this.#failures : 1, outcome.retryAfterMs, this.#clock.random());
    this.#pausedUntil = this.#clock.monotonic() + pause;
    if (this.#usable()) this.#arm(pause);
    this.#resumeWhenOnline();
    const error = this.#error(outcome);
    new Promise((resolve) => resolve(this.#onError?.(error))).catch((reason) => console.error("onError failed:", reason));
    return error;
  }
  #resume() {
    this.#pausedUntil = -Infinity;
    this.#resumed++;
  }
  /** When the machine is back on a network, ends a pause whose reason was that no answer came. */
  #resumeWhenOnline() {
    if (this.#listening || globalThis.navigator?.onLine === void 0 || !globalThis.addEventListener) return;
    this.#listening = true;
    const online = () => {
      this.#listening = false;
      if (!this.#failed || this.#failed.details.status !== void 0) return;
      this.#failures = 0;
      this.#resume();
    };
    globalThis.addEventListener("online", online, { once: true });
  }
};
function unlessAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

// src/client.ts
function createTokenClient(url, options = {}) {
  const { clock = systemClock, allowedOrigins, onError } = options;
  const send = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const keeper = new Keeper(providerAt(url, options, send, clock), clock, onError);
  return {
    getToken: keeper.token,
    getBearerToken: keeper.token,
    authHeader: async (call) => `Bearer ${await keeper.token(call)}`,
    peekToken: keeper.peek,
    fetch: authorizedFetch(keeper, send, allowedOrigins),
    invalidate: keeper.invalidate,
    status: keeper.status
  };
}
