// Makes the sandbox fail for a while, through its control endpoint.

import { announce, byId, make, setText } from "./dom.ts";

interface Fault {
  label: string;
  hint: string;
  /** As `PUT /sandbox/faults` takes them. */
  faults: object[];
  seconds: number;
  /** What to say while it lasts. */
  text: string;
}

const FAULTS: readonly Fault[] = [
  {
    label: "Account down",
    hint: "503 for 20 s",
    faults: [{ target: "token", status: 503 }],
    seconds: 20,
    text: "HERE's account answers 503. The held token goes on working.",
  },
  {
    label: "Account hangs",
    hint: "no answer for 20 s",
    faults: [{ target: "token", hang: true }],
    seconds: 20,
    text: "HERE's account does not answer. Nobody waits for it: the next token is asked for behind the readers.",
  },
  {
    label: "Short tokens",
    hint: "30 s each, for 90 s",
    faults: [{ target: "token", lifetime_s: 30 }],
    seconds: 90,
    text: "New tokens live 30 s, whatever is asked for. They are refreshed ahead of their end.",
  },
  {
    label: "Clock off",
    hint: "10 min, for 20 s",
    faults: [{ target: "token", clock_skew_s: 600 }],
    seconds: 20,
    text: "HERE's clock is 10 minutes ahead. The server notices at its next request, and corrects its signatures.",
  },
];

export interface FaultEvents {
  onStart(): void;
  onEnd(): void;
}

export class FaultPanel {
  readonly #url: string;
  readonly #events: FaultEvents;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(sandboxOrigin: string, events: FaultEvents) {
    this.#url = `${sandboxOrigin}/sandbox/faults`;
    this.#events = events;
    const buttons = FAULTS.map((fault) => {
      const button = make("button", { type: "button" }, make("strong", {}, fault.label), make("span", {}, fault.hint));
      button.addEventListener("click", () => void this.#start(fault));
      return button;
    });
    byId("fault-buttons").append(...buttons);
    byId("fault-end").addEventListener("click", () => void this.#end());
    // A fault must not outlive the page that would have ended it.
    addEventListener("pagehide", () => {
      if (this.#timer !== undefined) void fetch(this.#url, { method: "DELETE", keepalive: true }).catch(() => {});
    });
    byId("faults").hidden = false;
  }

  async #start({ faults, seconds, text, label }: Fault): Promise<void> {
    if (!(await this.#send("PUT", JSON.stringify(faults)))) return;
    clearInterval(this.#timer);
    const end = Date.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      if (left <= 0) void this.#end();
      else setText(byId("fault-end"), `End it now (${left} s)`);
    };
    this.#timer = setInterval(tick, 250);
    tick();
    setText(byId("fault-text"), text);
    byId("fault-active").hidden = false;
    announce(`${label}. ${text}`);
    this.#events.onStart();
  }

  async #end(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (!(await this.#send("DELETE"))) return;
    const active = byId("fault-active");
    const hadFocus = active.contains(document.activeElement);
    active.hidden = true;
    if (hadFocus) byId("fault-buttons").querySelector("button")?.focus();
    announce("The sandbox works again.");
    this.#events.onEnd();
  }

  async #send(method: string, body?: string): Promise<boolean> {
    try {
      const headers = { "Content-Type": "application/json" };
      const response = await fetch(this.#url, body === undefined ? { method } : { method, headers, body });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return true;
    } catch (error) {
      announce(`The sandbox did not take that: ${String(error)}`);
      return false;
    }
  }
}
