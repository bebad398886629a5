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
