// Makes the sandbox fail for a while, through its control endpoint.
//
// A fault shows itself when the provider asks for a token, and the one that it holds may be good for an hour. So the page, which goes
// on reading with a token that outlives every fault, asks for tokens of a minute meanwhile.

import { announce, byId, make, setText } from "./dom.ts";
import type { Tokens } from "./tokens.ts";

interface Fault {
  label: string;
  hint: string;
  /** As `PUT /sandbox/faults` takes it. */
  fault: object;
  /** How long it goes on once a token request has met it. */
  seconds: number;
  /** Whether the tokens that come are read with. */
  isRead: boolean;
  /** What to say while it lasts. */
  text: string;
}

const FAULTS: readonly Fault[] = [
  {
    label: "Account down",
    hint: "503 for 20 s",
    fault: { target: "token", status: 503 },
    seconds: 20,
    isRead: false,
    text: "HERE's account answers 503. There is no new token, and the held one goes on working.",
  },
  {
    label: "Account hangs",
    hint: "no answer for 20 s",
    fault: { target: "token", hang: true },
    seconds: 20,
    isRead: false,
    text: "HERE's account does not answer. No reader waits for it: they go on with the held token.",
  },
  {
    label: "Short tokens",
    hint: "30 s each, for 90 s",
    fault: { target: "token", lifetime_s: 30 },
    seconds: 90,
    isRead: true,
    text: "New tokens live 30 s, whatever is asked for. They are refreshed ahead of their end.",
  },
  {
    label: "Clock off",
    hint: "10 min, for 20 s",
    fault: { target: "token", clock_skew_s: 600 },
    seconds: 20,
    isRead: false,
    text: "HERE's clock is 10 minutes ahead, and it refuses the signature. The server corrects its time and signs again: a token comes.",
  },
];

/** What the page reads with while the account fails: the provider gives it with a quarter of this left, more than any clock is off. */
const SAFE_TTL = 3600;

/** What it asks for meanwhile: the provider needs a new one within 45 s, or at once where it holds none. */
const TRIAL_TTL = 60;
const LONGEST_WAIT_S = 50;

export interface FaultEvents {
  onStart(): void;
  onEnd(): void;
}

interface Running {
  readonly fault: Fault;
  readonly readsBefore: { all: number; failed: number };
  /** Token requests that had met a fault before. */
  readonly metBefore: number;
  met: number;
  /** When it is over, in milliseconds as `Date.now()`. */
  end: number;
}

export class FaultPanel {
  readonly #origin: string;
  readonly #tokens: Tokens;
  readonly #reads: () => { all: number; failed: number };
  readonly #events: FaultEvents;
  #running: Running | undefined;
  #isStarting = false;
  #isAsking = false;

  constructor(sandboxOrigin: string, tokens: Tokens, reads: () => { all: number; failed: number }, events: FaultEvents) {
    this.#origin = sandboxOrigin;
    this.#tokens = tokens;
    this.#reads = reads;
    this.#events = events;
    const buttons = FAULTS.map((fault) => {
      const button = make("button", { type: "button" }, make("strong", {}, fault.label), make("span", {}, fault.hint));
      button.addEventListener("click", () => void this.#start(fault));
      return button;
    });
    byId("fault-buttons").append(...buttons);
    byId("fault-end").addEventListener("click", () => void this.#end());
    // The sandbox ends it by itself, some time after this page is gone; this is sooner.
    addEventListener("pagehide", () => {
      if (this.#running) void fetch(`${this.#origin}/sandbox/faults`, { method: "DELETE", keepalive: true }).catch(() => {});
    });
    setInterval(() => void this.#tick(), 500);
    byId("faults").hidden = false;
  }

  async #start(fault: Fault): Promise<void> {
    if (this.#isStarting) return;
    this.#isStarting = true;
    try {
      // One after the other: the token that is read with comes from an account that works.
      if (this.#running) await this.#end();
      await this.#tokens.secure(SAFE_TTL);
      const metBefore = (await this.#ask("stats", "GET"))?.faults_applied ?? 0;
      const longest = fault.seconds + LONGEST_WAIT_S;
      if (!(await this.#ask("faults", "PUT", [{ ...fault.fault, for_s: longest }]))) return this.#tokens.release();
      this.#tokens.lend(TRIAL_TTL, fault.isRead);
      this.#running = { fault, readsBefore: this.#reads(), metBefore, met: 0, end: Date.now() + longest * 1000 };
      setText(byId("fault-text"), fault.text);
      byId("fault-note").hidden = true;
      byId("fault-active").hidden = false;
      announce(`${fault.label}. ${fault.text}`);
      this.#events.onStart();
      this.#draw(this.#running);
    } finally {
      this.#isStarting = false;
    }
  }

  async #tick(): Promise<void> {
    const running = this.#running;
    if (!running || this.#isAsking) return;
    this.#isAsking = true;
    this.#tokens.tryOn();
    const stats = await this.#ask("stats", "GET");
    this.#isAsking = false;
    if (this.#running !== running) return;
    const met = (stats?.faults_applied ?? 0) - running.metBefore;
    if (met > 0 && running.met === 0) running.end = Date.now() + running.fault.seconds * 1000;
    running.met = Math.max(met, running.met);
    this.#draw(running);
    if (Date.now() >= running.end) await this.#end();
  }

  #draw({ met, end, readsBefore }: Running): void {
    const { all, failed } = this.#reads();
    const reads = `Reads since: ${all - readsBefore.all}, failed: ${failed - readsBefore.failed}.`;
    setText(byId("fault-met"), met > 0 ? `Token requests that met it: ${met}. ${reads}` : "The next token is about to be asked for…");
    setText(byId("fault-end"), met > 0 ? `End it now (${Math.max(0, Math.ceil((end - Date.now()) / 1000))} s)` : "End it now");
  }

  async #end(): Promise<void> {
    this.#running = undefined;
    if (!(await this.#ask("faults", "DELETE"))) return;
    this.#tokens.release();
    const active = byId("fault-active");
    const hadFocus = active.contains(document.activeElement);
    active.hidden = true;
    byId("fault-note").hidden = false;
    if (hadFocus) byId("fault-buttons").querySelector("button")?.focus();
    announce("The sandbox works again.");
    this.#events.onEnd();
  }

  async #ask(what: "faults" | "stats", method: string, body?: object): Promise<{ faults_applied?: number } | undefined> {
    try {
      const headers = { "Content-Type": "application/json" };
      const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
      const response = await fetch(`${this.#origin}/sandbox/${what}`, init);
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return response.status === 204 ? {} : ((await response.json()) as { faults_applied?: number });
    } catch (error) {
      announce(`The sandbox did not take that: ${String(error)}`);
      return undefined;
    }
  }
}
