// The partition under inspection: its features, and the attributes of one of them.

import type { Feature } from "geojson";
import type { Decoded } from "./decode.ts";
import { byId, make, rove, setText } from "./dom.ts";
import type { Partition } from "./platform.ts";
import { bytes, count, counted } from "./text.ts";

export interface Opened {
  partition: Partition;
  contentType: string;
  decoded: Decoded;
}

/** The most features that are listed at once; the filter finds the others. */
const MAX_LISTED = 200;

/** Names that tell people most about a feature, best first. */
const TITLES = ["name", "title", "label", "address", "class", "category", "type"];

export class Details {
  readonly #onFeature: (feature: Feature | undefined) => void;
  #features: Feature[] = [];
  #selected: Feature | undefined;

  constructor(events: { onFeature(feature: Feature | undefined): void; onClose(): void }) {
    this.#onFeature = events.onFeature;
    rove(byId("features"));
    byId("feature-filter").addEventListener("input", () => this.#list());
    byId("details-close").addEventListener("click", () => events.onClose());
    byId("details").addEventListener("keydown", (event) => {
      if (event.key === "Escape") events.onClose();
    });
  }

  open({ partition, contentType, decoded }: Opened, feature?: Feature): void {
    byId("details").hidden = false;
    byId<HTMLInputElement>("feature-filter").value = "";
    setText(byId("details-title"), `Partition ${partition.id}`);
    const facts = [
      decoded.kind === "features" ? counted(decoded.features.length, "feature") : undefined,
      partition.size === undefined ? undefined : bytes(partition.size),
      contentType,
      `version ${partition.version}`,
    ];
    setText(byId("details-facts"), facts.filter((fact) => fact).join(" · "));
    byId("details").classList.toggle("raw", decoded.kind !== "features");
    this.#features = decoded.kind === "features" ? decoded.features : [];
    this.#selected = undefined;
    this.#list();
    if (decoded.kind === "features") {
      this.select(feature ?? this.#features[0], false);
    } else {
      const note = decoded.kind === "text" ? "No features in here. It begins with:" : "These bytes need the layer's schema to be read. They begin with:";
      byId("attributes").replaceChildren(make("p", { class: "note" }, note), make("pre", {}, decoded.kind === "text" ? decoded.text : decoded.preview));
    }
  }

  close(): void {
    byId("details").hidden = true;
    this.#selected = undefined;
    this.#onFeature(undefined);
  }

  /** Shows a feature's attributes, and where it is. */
  select(feature: Feature | undefined, isWanted = true): void {
    this.#selected = feature;
    if (feature && isWanted && !byId("features").querySelector(`[data-number="${feature.id}"]`)) {
      byId<HTMLInputElement>("feature-filter").value = "";
      this.#list();
    }
    for (const button of byId("features").querySelectorAll("button")) {
      const isSelected = button.dataset["number"] === String(feature?.id);
      button.setAttribute("aria-current", String(isSelected));
      if (isSelected && isWanted) button.scrollIntoView({ block: "nearest" });
    }
    byId("attributes").replaceChildren(...(feature ? attributes(feature) : [make("p", { class: "note" }, "No feature selected.")]));
    this.#onFeature(isWanted ? feature : undefined);
  }

  #list(): void {
    const words = byId<HTMLInputElement>("feature-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = this.#features.filter((feature) => {
      const text = words.length > 0 ? JSON.stringify([feature.properties, nameOf(feature)]).toLowerCase() : "";
      return words.every((word) => text.includes(word));
    });
    // One from outside the first ones may be selected on the map.
    const listed = matches.slice(0, MAX_LISTED);
    if (this.#selected && matches.includes(this.#selected) && !listed.includes(this.#selected)) listed.unshift(this.#selected);
    const items = listed.map((feature) => {
      const button = make(
        "button",
        { type: "button", "data-number": String(feature.id), "aria-current": String(feature === this.#selected) },
        make("span", { class: "name" }, titleOf(feature)),
        make("span", { class: "kind" }, kindOf(feature)),
      );
      button.addEventListener("click", () => this.select(feature));
      return make("li", {}, button);
    });
    const more = matches.length - listed.length;
    if (more > 0) items.push(make("li", { class: "note" }, `${count(more)} more: filter to find them`));
    if (matches.length === 0 && this.#features.length > 0) items.push(make("li", { class: "note" }, "No feature matches."));
    byId("features").replaceChildren(...items);
  }
}

function attributes(feature: Feature): Node[] {
  const rows = [
    ["id", nameOf(feature)] as const,
    ["geometry", `${feature.geometry.type}, ${counted(positions(feature.geometry).length, "position")}`] as const,
    ...flatten(feature.properties ?? {}),
  ];
  const table = make("table", {}, make("caption", {}, titleOf(feature)));
  const body = make("tbody");
  for (const [name, value] of rows) body.append(make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)));
  table.append(body);
  const [longitude, latitude] = positions(feature.geometry)[0] ?? [];
  if (longitude !== undefined && latitude !== undefined) {
    body.append(make("tr", {}, make("th", { scope: "row" }, "first position"), make("td", {}, `${latitude.toFixed(6)}, ${longitude.toFixed(6)}`)));
  }
  return [table];
}

/** Objects in objects become `outer.inner`; lists of simple values one line. */
function flatten(value: object, prefix = ""): [string, string][] {
  return Object.entries(value).flatMap(([name, inner]: [string, unknown]): [string, string][] => {
    if (Array.isArray(inner) && inner.every((part) => typeof part !== "object")) return [[prefix + name, inner.join(", ")]];
    if (typeof inner === "object" && inner !== null) return flatten(inner, `${prefix}${name}.`);
    return [[prefix + name, typeof inner === "boolean" ? (inner ? "yes" : "no") : String(inner)]];
  });
}

/** All positions of a geometry, whatever its type. */
export function positions(geometry: Feature["geometry"]): [number, number][] {
  const found: [number, number][] = [];
  const visit = (value: unknown): void => {
    if (!Array.isArray(value)) return;
    const [first, second] = value as unknown[];
    if (typeof first === "number" && typeof second === "number") found.push([first, second]);
    else for (const inner of value) visit(inner);
  };
  if (geometry.type === "GeometryCollection") for (const part of geometry.geometries) found.push(...positions(part));
  else visit(geometry.coordinates);
  return found;
}

/** The id that the data have; the map needs a number in its place. */
function nameOf(feature: Feature): string {
  return String((feature as Feature & { name?: string | number }).name ?? feature.id ?? "–");
}

function titleOf(feature: Feature): string {
  const properties = feature.properties ?? {};
  for (const name of TITLES) {
    const value: unknown = properties[name];
    if (typeof value === "string" && value !== "") return value;
  }
  return nameOf(feature);
}

function kindOf(feature: Feature): string {
  const properties = feature.properties ?? {};
  const kind: unknown = properties["class"] ?? properties["category"] ?? feature.geometry.type;
  return String(kind) === titleOf(feature) ? feature.geometry.type : String(kind);
}
