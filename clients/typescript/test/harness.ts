// Stand-ins for the tests: a clock that moves when told, a provider that answers as told.

import { createTokenClient, type Clock, type TokenClient, type TokenClientOptions } from "../src/index.js";

export const HOUR = 3_600_000;

/** A clock that moves only when told to. `advance` is time that passes; `suspend` is a machine that sleeps through it. */
export class FakeClock implements Clock {
  wall = Date.UTC(2026, 0, 15, 12);
  mono = 1_000;
  /** In the middle: refresh at exactly 70 %, pauses at three quarters of their longest. */
  chance = 0.5;
  /** Whether timers fire; a background tab holds them back. */
  timersFire = true;
  #timers = new Map<number, { at: number; run: () => void }>();
  #last = 0;

  now(): number {
    return this.wall;
  }
  monotonic(): number {
    return this.mono;
  }
  random(): number {
    return this.chance;
  }
  setTimeout(run: () => void, milliseconds: number): number {
    this.#timers.set(++this.#last, { at: this.mono + milliseconds, run });
    return this.#last;
  }
  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as number);
  }
  get pending(): number {
    return this.#timers.size;
  }

  async advance(milliseconds: number): Promise<void> {
    const end = this.mono + milliseconds;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => this.timersFire && timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.#timers.delete(id);
      const step = Math.max(0, timer.at - this.mono);
      this.mono += step;
      this.wall += step;
      timer.run();
      await settle();
    }
    this.wall += end - this.mono;
    this.mono = end;
    await settle();
  }

  suspend(milliseconds: number): void {
    this.wall += milliseconds;
  }
}

/** Lets everything run that is ready to run. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 6; round++) await new Promise((resolve) => setImmediate(resolve));
}

export interface Call {
  readonly url: string;
  readonly headers: Headers;
  readonly init: RequestInit;
}

type Reply = (call: Call) => Response | Promise<Response>;

export const tokenReply =
  (token: string, expiresIn: number | string | null = 3600): Reply =>
  () =>
    new Response(token, { headers: expiresIn === null ? {} : { "Token-Expires-In": String(expiresIn) } });

export const errorReply =
  (status: number, body: unknown = { error: "temporarily_unavailable" }, headers: Record<string, string> = {}): Reply =>
  () =>
    new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });

export const unreachable: Reply = () => Promise.reject(new TypeError("fetch failed"));

/** An answer that comes when the test says so. */
export function held(): { reply: Reply; answer: (response: Reply) => Promise<void> } {
  let answer!: (response: Response | Promise<Response>) => void;
  const promise = new Promise<Response>((resolve) => (answer = resolve));
  return {
    reply: () => promise,
    async answer(reply) {
      answer(reply({} as Call));
      await settle();
    },
  };
}

/** A provider that hands out `token-1`, `token-2`, … unless told otherwise. */
export class FakeProvider {
  readonly url = "https://tokens.example/getToken";
  readonly calls: Call[] = [];
  /** Answers of the next calls, in order. */
  readonly script: Reply[] = [];
  /** Answer of every other call. */
  otherwise: Reply = () => tokenReply(`token-${this.calls.length}`)({} as Call);

  readonly fetch = (async (input: string, init: RequestInit = {}) => {
    const call = { url: input, headers: new Headers(init.headers), init };
    this.calls.push(call);
    return (this.script.shift() ?? this.otherwise)(call);
  }) as typeof globalThis.fetch;
}

export interface Bench {
  clock: FakeClock;
  provider: FakeProvider;
  client: TokenClient;
}

export function bench(options: TokenClientOptions = {}, url?: string): Bench {
  const clock = new FakeClock();
  const provider = new FakeProvider();
  const client = createTokenClient(url ?? provider.url, { clock, fetch: provider.fetch, ...options });
  return { clock, provider, client };
}

/** Runs a test with these globals, as in a page. */
export async function withPage(globals: Record<string, unknown>, run: () => Promise<void>): Promise<void> {
  const before = Object.keys(globals).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  try {
    await run();
  } finally {
    for (const [name, descriptor] of before) {
      Reflect.deleteProperty(globalThis, name);
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
    }
  }
}
