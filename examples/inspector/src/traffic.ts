// What was asked in the last minute, drawn as a strip: data requests as bars, token requests as marks, faults as a shade.

import { byId, makeSvg, setText } from "./dom.ts";
import { count } from "./text.ts";

const SECONDS = 60;
const WIDTH = 300;
const HEIGHT = 54;
/** Where the bars stand; the marks of token requests are below. */
const BASE = 42;

interface Second {
  data: number;
  failed: number;
  tokens: number;
  tokensFailed: number;
  fault: boolean;
}

export class Traffic {
  readonly #seconds = new Map<number, Second>();
  #data = 0;
  #failed = 0;
  #isFaulty = false;

  addData(ok: boolean): void {
    const second = this.#now();
    second.data += 1;
    this.#data += 1;
    if (!ok) {
      second.failed += 1;
      this.#failed += 1;
    }
  }

  addToken(ok: boolean): void {
    this.#now()[ok ? "tokens" : "tokensFailed"] += 1;
  }

  /** Data requests since the page was opened. */
  get reads(): { all: number; failed: number } {
    return { all: this.#data, failed: this.#failed };
  }

  /** Whether the sandbox has been told to fail. */
  set isFaulty(isFaulty: boolean) {
    this.#isFaulty = isFaulty;
  }

  /** Shows the counts, and the strip as of now. */
  draw(tokenRequests: number): void {
    setText(byId("data-requests"), count(this.#data));
    setText(byId("token-requests"), count(tokenRequests));
    setText(byId("failures"), count(this.#failed));
    byId("failures").classList.toggle("bad", this.#failed > 0);

    this.#now();
    const now = Math.floor(Date.now() / 1000);
    for (const at of this.#seconds.keys()) if (at <= now - SECONDS) this.#seconds.delete(at);
    const most = Math.max(6, ...[...this.#seconds.values()].map(({ data }) => data));
    const step = WIDTH / SECONDS;
    // The square root keeps single requests visible beside the hundred of the start.
    const height = (number: number) => (number === 0 ? 0 : Math.max(2, Math.sqrt(number / most) * (BASE - 4)));
    const shapes: SVGElement[] = [];
    for (const [at, second] of this.#seconds) {
      const x = WIDTH - (now - at + 1) * step;
      if (second.fault) shapes.push(makeSvg("rect", { class: "fault", x, y: 0, width: step, height: HEIGHT }));
      const bar = height(second.data);
      // Where all have failed, the two may differ by a rounding, and no height is negative.
      const failed = second.data === 0 ? 0 : Math.min(bar, (bar * second.failed) / second.data);
      if (bar > 0) shapes.push(makeSvg("rect", { class: "data", x: x + 0.75, y: BASE - bar, width: step - 1.5, height: bar - failed }));
      if (failed > 0) shapes.push(makeSvg("rect", { class: "failed", x: x + 0.75, y: BASE - failed, width: step - 1.5, height: failed }));
      if (second.tokens + second.tokensFailed > 0) {
        const kind = second.tokens > 0 ? "token" : "token refused";
        shapes.push(makeSvg("rect", { class: kind, x: x + step / 2 - 2.5, y: BASE + 4, width: 5, height: 5, rx: 1 }));
      }
    }
    shapes.push(makeSvg("path", { class: "base", d: `M0 ${BASE + 0.5}H${WIDTH}` }));
    byId<SVGElement>("traffic").replaceChildren(...shapes);
  }

  #now(): Second {
    const at = Math.floor(Date.now() / 1000);
    const second = this.#seconds.get(at) ?? { data: 0, failed: 0, tokens: 0, tokensFailed: 0, fault: false };
    second.fault ||= this.#isFaulty;
    this.#seconds.set(at, second);
    return second;
  }
}
