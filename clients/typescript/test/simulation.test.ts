// Long random lives of a client: outages, hangs, sleeps, clock jumps, refusals. What must hold, holds at every step.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createTokenClient, TokenError } from "../src/index.js";
import { FakeClock, settle } from "./harness.js";

const TTL = 600;
const STEPS = 400;

/** Small, seeded, good enough to choose events with (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function live(seed: number, jump: "suspend" | "set the clock"): Promise<{ handouts: number; requests: number; failures: number }> {
  const random = seeded(seed);
  const clock = new FakeClock();
  clock.random = random;
  // Time as the services see it, which no jump of the machine's clocks changes.
  let jumped = 0;
  const truth = (): number => clock.mono + jumped;
  const expiries = new Map<string, number>();
  let requested = 0;
  let inFlight = 0;
  let mostInFlight = 0;
  let mode: "up" | "down" | "busy" | "hung" = "up";
  let failures = 0;
  let handouts = 0;

  const send = ((_input: string, init: RequestInit) => {
    requested++;
    // As a real `fetch` does, where the time was over before it was called.
    if (init.signal!.aborted) return Promise.reject(init.signal!.reason);
    mostInFlight = Math.max(mostInFlight, ++inFlight);
    init.signal!.addEventListener("abort", () => inFlight--);
    const reply = (response: Response): Promise<Response> => {
      inFlight--;
      return Promise.resolve(response);
    };
    if (mode === "hung") return new Promise(() => {});
    if (mode === "down") return reply(new Response("down", { status: 502 }));
    if (mode === "busy") return reply(new Response("busy", { status: 429, headers: { "Retry-After": "20" } }));
    // What the provider has in its hand may be young or old.
    const left = Math.floor(TTL * (0.05 + 0.95 * random()));
    const token = `token-${expiries.size}`;
    expiries.set(token, truth() + left * 1000);
    return reply(new Response(token, { headers: { "Token-Expires-In": String(left) } }));
  }) as typeof fetch;
  const client = createTokenClient("https://tokens.example/", { ttl: TTL, clock, fetch: send });

  const check = (token: string | undefined): void => {
    if (token === undefined) return;
    handouts++;
    assert.ok(expiries.get(token)! > truth(), `seed ${seed}: ${token} was handed out ${truth() - expiries.get(token)!} ms after its expiry`);
  };
  const pending = new Set<Promise<unknown>>();
  for (let step = 0; step < STEPS; step++) {
    const choice = random();
    if (choice < 0.45) {
      const call = client.getToken().then(check, (error: unknown) => {
        if (!(error instanceof TokenError)) throw error;
        failures++;
      });
      pending.add(call);
      void call.finally(() => pending.delete(call)).catch(() => {});
      await settle();
    } else if (choice < 0.55) check(client.peekToken());
    else if (choice < 0.8) await clock.advance(random() ** 3 * TTL * 1000);
    else if (choice < 0.85) {
      const milliseconds = random() * TTL * 1500;
      if (jump === "suspend") {
        clock.suspend(milliseconds);
        jumped += milliseconds;
      } else clock.wall += milliseconds * 20 * (random() - 0.5);
    } else if (choice < 0.9) client.invalidate(client.peekToken());
    else mode = (["up", "up", "up", "down", "busy", "hung"] as const)[Math.floor(random() * 6)]!;
  }
  await clock.advance(60_000);
  await Promise.all(pending);
  const { requests } = client.status();
  assert.equal(requests, requested);
  assert.equal(mostInFlight, 1, `seed ${seed}: one request at a time`);
  return { handouts, requests, failures };
}

for (const jump of ["suspend", "set the clock"] as const) {
  test(`no expired token and no second request, whatever happens (${jump})`, async () => {
    const total = { handouts: 0, requests: 0, failures: 0 };
    for (let seed = 1; seed <= 25; seed++) {
      const life = await live(seed, jump);
      for (const name of ["handouts", "requests", "failures"] as const) total[name] += life[name];
    }
    // The lives were eventful: tokens were handed out, failures were met, and one request served several callers.
    assert.ok(total.handouts > 2000, JSON.stringify(total));
    assert.ok(total.failures > 100, JSON.stringify(total));
    assert.ok(total.requests > 300 && total.requests < total.handouts, JSON.stringify(total));
  });
}

/** Requests in ten minutes to a provider that is down, by callers who do `each` ten times a second. */
async function asked(each: (client: ReturnType<typeof createTokenClient>) => void): Promise<number> {
  const clock = new FakeClock();
  let sent = 0;
  const client = createTokenClient("https://tokens.example/", {
    clock,
    fetch: () => {
      sent++;
      return Promise.reject(new TypeError("fetch failed"));
    },
  });
  const tenMinutes = clock.mono + 600_000;
  while (clock.mono < tenMinutes) {
    each(client);
    client.peekToken();
    client.invalidate("anything");
    await client.getToken().catch(() => {});
    await clock.advance(100);
  }
  return sent;
}

test("whatever callers do, a failing provider is asked ever less often", async () => {
  // 5 short pauses, then one request every 22.5 s.
  const sent = await asked(() => {});
  assert.ok(sent >= 28 && sent <= 33, `${sent} requests`);
});

test("a program that tries again after every failure asks a failing provider once in ten seconds", async () => {
  const sent = await asked((client) => client.invalidate());
  assert.ok(sent >= 60 && sent <= 66, `${sent} requests`);
});
