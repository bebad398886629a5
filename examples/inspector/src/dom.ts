// The page's elements.

/** An element of index.html, which has them all. */
export function byId<T extends Element = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element ${id}`);
  return element as unknown as T;
}

/** Makes an element; text goes in as text, never as markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

export function makeSvg(name: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value));
  return element;
}

/** Makes a list of buttons one stop of the Tab key; within it the arrow keys move. */
export function rove(list: HTMLElement): void {
  const buttons = (): HTMLButtonElement[] => [...list.querySelectorAll("button")];
  const stopAt = (stop: HTMLButtonElement | undefined): void => {
    for (const button of buttons()) button.tabIndex = button === stop ? 0 : -1;
  };
  new MutationObserver(() => {
    const all = buttons();
    stopAt(all.find((button) => button.getAttribute("aria-current") === "true") ?? all[0]);
  }).observe(list, { childList: true });
  list.addEventListener("focusin", ({ target }) => {
    if (target instanceof HTMLButtonElement) stopAt(target);
  });
  list.addEventListener("keydown", (event) => {
    const all = buttons();
    const at = all.findIndex((button) => button === document.activeElement);
    const next: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
    const to = next[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    all[to]?.focus();
  });
}

/** Changes text only when it is another: screen readers and the renderer have less to do. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Tells people who do not see the page what has happened. */
export function announce(text: string): void {
  setText(byId("announcer"), text);
}

/** Tells everybody what went wrong, until something goes right. */
export function alertUser(text: string | undefined): void {
  const element = byId("alert");
  element.hidden = text === undefined;
  setText(element, text ?? "");
}

/** Tells that there is more below, where an element scrolls and its end is not in sight. */
export function cueScrolling(element: HTMLElement): void {
  const cue = make("button", { type: "button", class: "more", tabindex: "-1", "aria-hidden": "true" }, "More below");
  cue.addEventListener("click", () => element.scrollBy({ top: element.clientHeight * 0.8 }));
  element.append(cue);
  const update = (): void => {
    cue.hidden = element.scrollHeight - element.scrollTop - element.clientHeight < 8;
  };
  element.addEventListener("scroll", update, { passive: true });
  const watcher = new ResizeObserver(update);
  for (const watched of [element, ...element.children]) if (watched !== cue) watcher.observe(watched);
  update();
}
