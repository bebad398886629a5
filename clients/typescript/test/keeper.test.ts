// One request for all, refreshed ahead of expiry, served while the provider is away, never when expired.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenError } from "../src/index.js";
import { bench, errorReply, held, HOUR, settle, tokenReply, unreachable, withPage } from "./harness.js";

test("methods work without this", async () => {
  const { client } = bench();
  const { getToken, getBearerToken, authHeader, peekToken, status } = client;
  assert.equal(await getToken(), "token-1");
  assert.equal(await getBearerToken(), "token-1");
  assert.equal(await authHeader(), "Bearer token-1");
  assert.equal(peekToken(), "token-1");
  assert.equal(status().handouts, 4);
});

test("arguments that a caller passes to its callbacks do no harm", async () => {
  const { client } = bench();
  const callback = client.getBearerToken as (...args: unknown[]) => Promise<string>;
  for (const argument of [null, 7, "text", {}, new Event("click"), { signal: null }]) assert.equal(await callback(argument), "token-1");
});

test("nothing is sent before the first call", async () => {
  const { provider, clock } = bench();
  await clock.advance(HOUR);
  assert.equal(provider.calls.length, 0);
});

test("a thousand callers cost one request", async () => {
  const { client, provider } = bench();
  const answer = held();
  provider.script.push(answer.reply);
  const tokens = Promise.all(Array.from({ length: 1000 }, () => client.getToken()));
  await settle();
  await answer.answer(tokenReply("shared"));
  assert.deepEqual(new Set(await tokens), new Set(["shared"]));
  assert.equal(provider.calls.length, 1);
  assert.equal(await client.getToken(), "shared");
  assert.equal(provider.calls.length, 1);
});

test("callers of a failed request all hear of it, and it costs one request", async () => {
  const { client, provider } = bench();
  const answer = held();
  provider.script.push(answer.reply);
  const results = Promise.allSettled(Array.from({ length: 50 }, () => client.getToken()));
  await settle();
  await answer.answer(errorReply(503));
  for (const result of await results) assert.equal(result.status === "rejected" && result.reason.code, "temporarily_unavailable");
  assert.equal(provider.calls.length, 1);
});

test("due token is handed out while it is refreshed behind the caller", async () => {
  const { client, provider, clock } = bench();
  clock.timersFire = false;
  await client.getToken();
  await clock.advance(0.7 * HOUR - 1);
  assert.equal(client.status().state, "fresh");
  await client.getToken();
  assert.equal(provider.calls.length, 1);
  await clock.advance(1);
  assert.equal(client.status().state, "due");
  const answer = held();
  provider.script.push(answer.reply);
  assert.equal(await client.getToken(), "token-1");
  assert.equal(await client.getToken(), "token-1");
  assert.equal(provider.calls.length, 2);
  await answer.answer(tokenReply("token-2"));
  assert.equal(await client.getToken(), "token-2");
});

test("refresh comes between 65 and 75 % of the lifetime", async () => {
  for (const [chance, share] of [
    [0, 0.75],
    [0.5, 0.7],
    [0.999, 0.65],
  ] as const) {
    const { client, provider, clock } = bench();
    clock.chance = chance;
    await client.getToken();
    await client.getToken();
    await clock.advance(share * HOUR - 10_000);
    assert.equal(provider.calls.length, 1, `too early at ${chance}`);
    await clock.advance(20_000);
    assert.equal(provider.calls.length, 2, `too late at ${chance}`);
  }
});

test("a token in use is refreshed by the timer, before anybody has to wait", async () => {
  const { client, provider, clock } = bench();
  await client.getToken();
  await client.getToken();
  await clock.advance(0.75 * HOUR);
  assert.equal(provider.calls.length, 2);
  assert.equal(client.peekToken(), "token-2");
});

test("a token that nobody uses is let go", async () => {
  const { client, provider, clock } = bench();
  await client.getToken();
  await client.getToken();
  await clock.advance(48 * HOUR);
  // One refresh for the use after the first request, none after that.
  assert.equal(provider.calls.length, 2);
  assert.equal(clock.pending, 0);
  assert.equal(await client.getToken(), "token-3");
});

test("one timer at most is left behind, however often the token is renewed", async () => {
  const { client, clock } = bench();
  for (let round = 0; round < 5; round++) {
    client.invalidate();
    await client.getToken();
  }
  assert.equal(clock.pending, 1);
});

test("an expired token is waited for", async () => {
  const { client, provider, clock } = bench();
  clock.timersFire = false;
  await client.getToken();
  await clock.advance(HOUR);
  assert.equal(client.status().state, "expired");
  assert.equal(client.peekToken(), undefined);
  assert.equal(await client.getToken(), "token-2");
  assert.equal(provider.calls.length, 2);
});

test("a token is not used in its last ten seconds, or tenth", async () => {
  for (const [lifetime, usable] of [
    [3600, 3590],
    [60, 54],
  ] as const) {
    const { client, provider, clock } = bench();
    clock.timersFire = false;
    provider.script.push(tokenReply("first", lifetime));
    await client.getToken();
    provider.otherwise = unreachable;
    await clock.advance(usable * 1000 - 1);
    assert.equal(client.peekToken(), "first");
    await settle();
    await clock.advance(1);
    assert.equal(client.peekToken(), undefined);
    await assert.rejects(client.getToken(), TokenError);
  }
});

test("lifetime counts from the sending of the request", async () => {
  const { client, provider, clock } = bench({ timeoutMs: 60_000 });
  const answer = held();
  provider.script.push(answer.reply);
  const token = client.getToken();
  await clock.advance(40_000);
  await answer.answer(tokenReply("slow", 100));
  await token;
  assert.equal(client.status().expiresIn, 60);
  assert.equal(client.status().lifetime, 100);
});

test("a token that has expired on its way is refused, and not asked for again at once", async () => {
  for (const expiresIn of [0, 20]) {
    const { client, provider, clock } = bench({ timeoutMs: 60_000 });
    const answer = held();
    provider.script.push(answer.reply);
    const token = assert.rejects(client.getToken(), { code: "invalid_response", message: "the token had expired when it came" });
    await clock.advance(19_000);
    await answer.answer(tokenReply("late", expiresIn));
    await token;
    await assert.rejects(client.getToken(), { code: "invalid_response" });
    assert.equal(provider.calls.length, 1);
    await clock.advance(1000);
    assert.equal(await client.getToken(), "token-2");
  }
});

test("a machine that slept does not hand out an expired token", async () => {
  const { client, provider, clock } = bench();
  await client.getToken();
  await client.getToken();
  // The steady clock stood still meanwhile, and no timer has fired yet.
  clock.suspend(HOUR);
  assert.equal(client.peekToken(), undefined);
  assert.equal(await client.getToken(), "token-2");
  assert.equal(provider.calls.length, 2);
});

test("a wall clock set back does not prolong a token", async () => {
  const { client, clock } = bench();
  clock.timersFire = false;
  await client.getToken();
  clock.wall -= 10 * HOUR;
  await clock.advance(HOUR);
  assert.equal(client.peekToken(), undefined);
  assert.equal(await client.getToken(), "token-2");
});

test("a wall clock set back during the request does not prolong the token", async () => {
  const { client, provider, clock } = bench({ timeoutMs: 60_000 });
  const answer = held();
  provider.script.push(answer.reply);
  const token = client.getToken();
  await clock.advance(40_000);
  clock.wall -= 20_000;
  await answer.answer(tokenReply("slow", 100));
  await token;
  assert.equal(client.status().expiresIn, 60);
});

test("a sleep during the request is taken off the token", async () => {
  const { client, provider, clock } = bench();
  const answer = held();
  provider.script.push(answer.reply);
  const token = assert.rejects(client.getToken(), { code: "invalid_response" });
  await settle();
  clock.suspend(2 * HOUR);
  await answer.answer(tokenReply("from-yesterday"));
  await token;
});

test("an answer after its time is not heard", async () => {
  const { client, provider, clock } = bench({ timeoutMs: 1000 });
  const late = held();
  provider.script.push(late.reply);
  const first = assert.rejects(client.getToken(), { code: "timeout" });
  await clock.advance(1000);
  await first;
  await clock.advance(1000);
  assert.equal(await client.getToken(), "token-2");
  await late.answer(tokenReply("old"));
  assert.equal(await client.getToken(), "token-2");
});

test("held token is served while the provider is away, which is asked ever less often", async () => {
  const errors: TokenError[] = [];
  const { client, provider, clock } = bench({ onError: (error) => errors.push(error) });
  await client.getToken();
  await client.getToken();
  provider.otherwise = unreachable;
  const asked: number[] = [];
  let seconds = 0;
  for (; client.status().expiresIn > 11; seconds++) {
    const before = provider.calls.length;
    await clock.advance(1000);
    assert.equal(await client.getToken(), "token-1");
    await settle();
    if (provider.calls.length > before) asked.push(seconds);
  }
  const gaps = asked.slice(1).map((at, index) => at - asked[index]!);
  // Three quarters of 1, 2, 4, … 30 s, as seen by somebody who looks once a second.
  assert.deepEqual(gaps.slice(0, 5), [1, 2, 3, 6, 12]);
  assert.ok(gaps.slice(5).every((gap) => gap === 22 || gap === 23), String(gaps));
  assert.ok(asked.length < 60, `${asked.length} requests in ${seconds} s`);
  assert.equal(errors.length, asked.length);
  assert.ok(errors.every((error) => error instanceof TokenError && error.code === "request_failed"));
  assert.equal(client.status().error?.code, "request_failed");

  // Back again: the next attempt mends everything, and nobody has noticed.
  provider.otherwise = tokenReply("new");
  await clock.advance(30_000);
  assert.equal(client.peekToken(), "new");
  assert.equal(client.status().error, undefined);
});

test("without a usable token callers fail at once during the pause, and no request is made", async () => {
  const { client, provider, clock } = bench();
  clock.chance = 0.999_999;
  provider.otherwise = errorReply(502, { error: "issuer_rejected", request_id: "r-9" });
  const pauses: number[] = [];
  for (let round = 0; round < 7; round++) {
    const before = provider.calls.length;
    await assert.rejects(client.getToken(), { code: "issuer_rejected" });
    assert.equal(provider.calls.length, before + 1);
    let pause = 0;
    for (; provider.calls.length === before + 1; pause++) {
      await clock.advance(1000);
      const error = await client.getToken().catch((reason: TokenError) => reason);
      assert.ok(error instanceof TokenError);
      if (provider.calls.length === before + 1) {
        assert.equal(error.status, 502);
        assert.equal(error.requestId, "r-9");
        assert.ok(error.retryAfter! > 0 && error.retryAfter! <= 30);
      }
    }
    pauses.push(pause);
    // The loop's last call has begun the next round's pause.
    await clock.advance(HOUR);
  }
  assert.deepEqual(pauses, [1, 4, 16, 30, 30, 30, 30]);
});

test("pause is jittered between half and whole", async () => {
  for (const [chance, still, over] of [
    [0, 499, 1],
    [0.999_999, 999, 1],
  ] as const) {
    const { client, provider, clock } = bench();
    clock.chance = chance;
    provider.script.push(errorReply(503));
    await assert.rejects(client.getToken());
    await clock.advance(still);
    await assert.rejects(client.getToken());
    assert.equal(provider.calls.length, 1);
    await clock.advance(over);
    assert.equal(await client.getToken(), "token-2");
  }
});

test("success ends the growing of pauses", async () => {
  const { client, provider, clock } = bench();
  provider.script.push(unreachable, unreachable, unreachable);
  for (let round = 0; round < 3; round++) {
    await assert.rejects(client.getToken());
    await clock.advance(30_000);
  }
  await client.getToken();
  client.invalidate();
  provider.script.push(unreachable);
  await assert.rejects(client.getToken(), { retryAfter: 1 });
});

test("Retry-After is honoured, by callers and by the background refresh", async () => {
  const { client, provider, clock } = bench();
  provider.script.push(errorReply(429, { error: "slow_down" }, { "Retry-After": "120" }));
  await assert.rejects(client.getToken(), { code: "slow_down", retryAfter: 126 });
  // The jitter in the middle: a twentieth on top.
  await clock.advance(125_999);
  await assert.rejects(client.getToken(), { code: "slow_down", retryAfter: 1 });
  assert.equal(provider.calls.length, 1);
  await clock.advance(1);
  assert.equal(await client.getToken(), "token-2");

  await client.getToken();
  provider.script.push(errorReply(503, {}, { "Retry-After": new Date(clock.wall + 0.7 * HOUR + 200_000).toUTCString() }));
  await clock.advance(0.7 * HOUR + 1);
  assert.equal(provider.calls.length, 3);
  for (let second = 0; second < 209; second++) {
    await clock.advance(1000);
    assert.equal(await client.getToken(), "token-2");
  }
  assert.equal(provider.calls.length, 3);
  await clock.advance(3000);
  assert.equal(provider.calls.length, 4);
  assert.equal(await client.getToken(), "token-4");
});

test("pages that are told of one outage come back one after the other, and none before its time", async () => {
  const retryAfter = async (chance: number): Promise<number> => {
    const { client, provider, clock } = bench();
    clock.chance = chance;
    provider.script.push(errorReply(503, {}, { "Retry-After": "60" }));
    await assert.rejects(client.getToken());
    let seconds = 0;
    for (; provider.calls.length === 1; seconds++) {
      await clock.advance(1000);
      await client.getToken().catch(() => {});
    }
    return seconds;
  };
  assert.deepEqual(await Promise.all([0, 0.5, 0.999].map(retryAfter)), [60, 63, 66]);
});

test("invalidate() ends a pause, as a \"try again\" button does", async () => {
  for (const failing of [unreachable, errorReply(503, {}, { "Retry-After": "600" }), errorReply(401, { error: "invalid_token" })]) {
    const { client, provider } = bench();
    provider.script.push(failing);
    await assert.rejects(client.getToken());
    await assert.rejects(client.getToken());
    assert.equal(provider.calls.length, 1);
    // As the handler of a button, which is called with an event.
    (client.invalidate as (event: unknown) => void)(new Event("click"));
    assert.equal(await client.getToken(), "token-2");
  }
  // At most once in ten seconds.
  const { client, provider, clock } = bench();
  provider.otherwise = errorReply(503, {}, { "Retry-After": "600" });
  await assert.rejects(client.getToken());
  // Without a pause to end, it uses up nothing.
  const calm = bench();
  await calm.client.getToken();
  calm.client.invalidate();
  calm.provider.script.push(unreachable);
  await assert.rejects(calm.client.getToken());
  calm.client.invalidate();
  assert.equal(await calm.client.getToken(), "token-3");

  for (const [wait, asked] of [[0, 2], [9_999, 2], [1, 3], [5_000, 3], [5_000, 4]] as const) {
    await clock.advance(wait);
    client.invalidate();
    await assert.rejects(client.getToken());
    assert.equal(provider.calls.length, asked, `after ${wait} ms`);
  }
});

test("a failure from before invalidate() makes no pause: who has signed in meanwhile gets a token", async () => {
  const { client, provider } = bench();
  const answer = held();
  provider.script.push(answer.reply);
  const waiting = client.getToken();
  await settle();
  client.invalidate();
  await answer.answer(errorReply(401, { error: "invalid_token" }));
  assert.equal(await waiting, "token-2");
});

test("a client listens for the network only while a pause may end, and once", async () => {
  const listening = new Set<EventListenerOrEventListenerObject>();
  const addEventListener = (type: string, listener: () => void, options: { once: boolean }) => {
    assert.deepEqual([type, options], ["online", { once: true }]);
    listening.add(listener);
  };
  await withPage({ navigator: { onLine: true }, addEventListener }, async () => {
    const { client, provider, clock } = bench();
    await client.getToken();
    assert.equal(listening.size, 0);
    provider.otherwise = unreachable;
    client.invalidate();
    for (let round = 0; round < 3; round++) {
      await assert.rejects(client.getToken());
      await clock.advance(30_000);
    }
    assert.equal(listening.size, 1);
  });
});

test("a machine that is back online asks at once, where no answer came", async () => {
  const events = new EventTarget();
  const page = { navigator: { onLine: true }, addEventListener: events.addEventListener.bind(events) };
  await withPage(page, async () => {
    const { client, provider } = bench();
    provider.otherwise = unreachable;
    for (let round = 0; round < 3; round++) {
      await assert.rejects(client.getToken(), { code: "request_failed" });
      await assert.rejects(client.getToken(), { code: "request_failed" });
      assert.equal(provider.calls.length, round + 1);
      events.dispatchEvent(new Event("online"));
    }
    // The pauses begin again with the shortest.
    await assert.rejects(client.getToken(), { retryAfter: 1 });
    events.dispatchEvent(new Event("online"));
    provider.otherwise = tokenReply("new");
    assert.equal(await client.getToken(), "new");
    // Nothing is to be ended now.
    events.dispatchEvent(new Event("online"));
    assert.equal(await client.getToken(), "new");

    // What the provider asked for is waited for, online or not.
    client.invalidate();
    provider.otherwise = errorReply(503, {}, { "Retry-After": "60" });
    await assert.rejects(client.getToken());
    const before = provider.calls.length;
    events.dispatchEvent(new Event("online"));
    await assert.rejects(client.getToken(), { retryAfter: 63 });
    assert.equal(provider.calls.length, before);
  });
});

test("onError that throws, or rejects, changes nothing for the caller", async () => {
  const printed: unknown[][] = [];
  const { error } = console;
  console.error = (...line) => void printed.push(line);
  try {
    const mistake = new Error("in the handler");
    for (const onError of [() => { throw mistake; }, () => Promise.reject(mistake)]) {
      const { client, provider } = bench({ onError });
      provider.script.push(unreachable);
      await assert.rejects(client.getToken(), { code: "request_failed" });
      await settle();
    }
    assert.deepEqual(printed, [["onError failed:", mistake], ["onError failed:", mistake]]);
  } finally {
    console.error = error;
  }
});
