// The token panel: how long the token still lives, and what it cost.

import { announce, byId, make, setText } from "./dom.ts";
import { clock, duration, time } from "./text.ts";
import type { Tokens } from "./tokens.ts";
import type { Traffic } from "./traffic.ts";

/** Lifetimes to choose from, in seconds. */
const LIFETIMES: readonly [seconds: number, label: string][] = [
  [60, "1 min"],
  [300, "5 min"],
  [3600, "1 h"],
];

/** When the client asks for the next token, as a share of the lifetime; it adds some jitter. */
const DUE = 0.7;

const STATES = { none: "none yet", fresh: "fresh", due: "being refreshed", expired: "expired" } as const;

export class TokenPanel {
  readonly #tokens: Tokens;
  readonly #traffic: Traffic;
  #refreshedAt: number | undefined;

  constructor(tokens: Tokens, traffic: Traffic) {
    this.#tokens = tokens;
    this.#traffic = traffic;
    this.#offerLifetimes();
    byId("ring-due").setAttribute("transform", `rotate(${360 * (1 - DUE)} 60 60)`);
    setInterval(() => this.draw(), 250);
    this.draw();
  }

  draw(): void {
    const { state, expiresIn, lifetime, refreshedAt, requests, error } = this.#tokens.status();
    const share = lifetime > 0 ? Math.max(0, Math.min(1, expiresIn / lifetime)) : 0;
    byId("ring-value").setAttribute("stroke-dasharray", `${(share * 100).toFixed(2)} 100`);
    byId("ring").classList.toggle("low", state === "expired" || (state === "due" && error !== undefined));
    byId("ring").classList.toggle("empty", lifetime === 0);
    setText(byId("ring-time"), lifetime > 0 ? clock(expiresIn) : "–");
    setText(byId("ring-of"), lifetime > 0 ? `of ${clock(lifetime)} left` : "");

    const chip = byId("token-state");
    const { isRefused } = this.#tokens;
    chip.dataset["state"] = isRefused ? "expired" : error && state !== "fresh" ? "away" : state;
    setText(chip, isRefused ? "refused by HERE" : error && state !== "none" ? `${STATES[state]}, no new one` : STATES[state]);
    setText(byId("refreshed"), refreshedAt === undefined ? "–" : time(refreshedAt));
    const untilDue = expiresIn - lifetime * (1 - DUE);
    setText(byId("next-refresh"), lifetime === 0 ? "–" : untilDue > 0 ? `in about ${clock(untilDue)}` : "when next needed");
    setText(byId("summary-token"), lifetime > 0 ? `token: ${clock(expiresIn)} left` : "");
    this.#traffic.draw(requests);

    if (refreshedAt !== this.#refreshedAt) {
      if (this.#refreshedAt !== undefined && refreshedAt !== undefined) announce("The access token has been refreshed.");
      this.#refreshedAt = refreshedAt;
    }
  }

  #offerLifetimes(): void {
    const { ttl } = this.#tokens;
    const known = LIFETIMES.some(([seconds]) => seconds === ttl);
    const offered = known ? LIFETIMES : [[ttl, duration(ttl)] as const, ...LIFETIMES];
    const row = make("div", { class: "row" });
    for (const [seconds, label] of offered) {
      const input = make("input", { type: "radio", name: "lifetime", value: String(seconds) });
      input.checked = seconds === ttl;
      input.addEventListener("change", () => {
        this.#tokens.setTtl(seconds);
        this.#refreshedAt = undefined;
        announce(`From the next one on, tokens live ${duration(seconds)}.`);
      });
      row.append(make("label", {}, input, make("span", {}, label)));
    }
    byId("lifetimes").append(row);
  }
}
