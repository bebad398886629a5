// How the map looks: a quiet base in which the layer under inspection stands out. Own colours, no tiles, no fonts from
// elsewhere: labels are drawn with the system's font.

import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from "maplibre-gl";

export type Scheme = "light" | "dark";

interface Palette {
  background: string;
  land: string;
  park: string;
  water: string;
  road: string;
  casing: string;
  building: string;
  buildingEdge: string;
  point: string;
  text: string;
  halo: string;
  grid: string;
  accent: string;
  kinds: Record<"teal" | "blue" | "violet" | "amber" | "coral" | "slate", string>;
}

const PALETTES: Record<Scheme, Palette> = {
  light: {
    background: "#e8ecee",
    land: "#f6f4ef",
    park: "#dcead3",
    water: "#c8dfea",
    road: "#ffffff",
    casing: "#e2ddd3",
    building: "#e7e1d7",
    buildingEdge: "#d8d0c3",
    point: "#a59c8e",
    text: "#37424d",
    halo: "#ffffff",
    grid: "#5f7480",
    accent: "#0a706b",
    kinds: {
      teal: "#4fa79b",
      blue: "#5b8ecb",
      violet: "#9279c2",
      amber: "#d9a441",
      coral: "#d96f57",
      slate: "#8a97a3",
    },
  },
  dark: {
    background: "#0f1418",
    land: "#192026",
    park: "#1b2d26",
    water: "#122b3b",
    road: "#36414b",
    casing: "#141a1f",
    building: "#252e36",
    buildingEdge: "#323d47",
    point: "#6d7984",
    text: "#c3ccd4",
    halo: "#10161b",
    grid: "#8ba0ac",
    accent: "#4fd1c5",
    kinds: {
      teal: "#3f9c91",
      blue: "#4d84c4",
      violet: "#8a70c0",
      amber: "#c99436",
      coral: "#cf6650",
      slate: "#76838f",
    },
  },
};

/** From bottom to top; layers of other names come last. */
const ORDER = ["land", "roads", "buildings", "transit", "charging", "places"];

const NOTHING = "rgba(0,0,0,0)";

export const EMPTY_STYLE: StyleSpecification = { version: 8, sources: {}, layers: [] };

export const sourceOf = (layer: string): string => `data:${layer}`;

/** All of the map's layers, bottom to top, for these layers of a catalog. */
export function layersFor(scheme: Scheme, ids: readonly string[], active: string): LayerSpecification[] {
  const palette = PALETTES[scheme];
  const position = (id: string) => (ORDER.includes(id) ? ORDER.indexOf(id) : ORDER.length);
  const sorted = [...ids].sort((a, b) => position(a) - position(b));
  return [
    { id: "background", type: "background", paint: { "background-color": palette.background } },
    ...sorted.flatMap((id) => dataLayers(palette, id, id === active)),
    ...partitionLayers(palette),
    ...selectionLayers(palette),
    ...sorted.map((id) => labels(palette, id, id === active)),
  ];
}

/** Areas, lines and points of one layer, whatever it has. */
function dataLayers(palette: Palette, id: string, isActive: boolean): LayerSpecification[] {
  const source = sourceOf(id);
  const geometry = (type: string): ExpressionSpecification => ["==", ["geometry-type"], type];
  const primary = ["match", ["get", "class"], ["primary", "tram"], 1, "secondary", 0.6, 0.34] as ExpressionSpecification;
  const width = (extra: number): ExpressionSpecification => [
    "interpolate",
    ["exponential", 1.7],
    ["zoom"],
    11,
    ["+", extra / 4, ["*", 1.6, primary]],
    16,
    ["+", extra, ["*", 17, primary]],
  ];
  const isBase = id === "land";
  return [
    {
      id: `${id}:area`,
      type: "fill",
      source,
      filter: geometry("Polygon"),
      paint: {
        "fill-color": isBase ? landColor(palette) : isActive ? kindColor(palette) : palette.building,
        "fill-opacity": isBase ? 1 : isActive ? 0.82 : 1,
        // From afar, outlines would be all that is left of a house.
        "fill-outline-color": isBase ? NOTHING : ["step", ["zoom"], NOTHING, 14.4, isActive ? palette.halo : palette.buildingEdge],
      },
    },
    {
      id: `${id}:casing`,
      type: "line",
      source,
      filter: geometry("LineString"),
      layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": palette.casing, "line-width": width(1.6), "line-opacity": isActive ? 0 : 1 },
    },
    {
      id: `${id}:line`,
      type: "line",
      source,
      filter: geometry("LineString"),
      layout: { "line-cap": "round", "line-join": "round" },
      paint: {
        "line-color": ["coalesce", ["get", "color"], isActive ? kindColor(palette) : palette.road],
        "line-width": width(0.4),
      },
    },
    {
      id: `${id}:point`,
      type: "circle",
      source,
      filter: geometry("Point"),
      paint: {
        "circle-color": ["coalesce", ["get", "color"], isActive ? kindColor(palette) : palette.point],
        "circle-radius": ["interpolate", ["linear"], ["zoom"], 11, isActive ? 2.4 : 1.4, 16, isActive ? 8 : 4],
        "circle-stroke-color": palette.halo,
        "circle-stroke-width": ["interpolate", ["linear"], ["zoom"], 11, 0.6, 16, 2],
      },
    },
  ];
}

function labels(palette: Palette, id: string, isActive: boolean): LayerSpecification {
  return {
    id: `${id}:label`,
    type: "symbol",
    source: sourceOf(id),
    minzoom: 15,
    filter: ["all", ["==", ["geometry-type"], "Point"], ["has", "name"]],
    layout: {
      visibility: isActive ? "visible" : "none",
      "text-field": ["get", "name"],
      "text-font": ["system-ui"],
      "text-size": 12,
      "text-offset": [0, 1],
      "text-anchor": "top",
      "text-optional": true,
    },
    paint: { "text-color": palette.text, "text-halo-color": palette.halo, "text-halo-width": 1.4 },
  };
}

function partitionLayers(palette: Palette): LayerSpecification[] {
  const state = (name: string, yes: number, no: ExpressionSpecification | number): ExpressionSpecification => [
    "case",
    ["boolean", ["feature-state", name], false],
    yes,
    no,
  ];
  return [
    {
      id: "partitions:area",
      type: "fill",
      source: "partitions",
      paint: {
        "fill-color": palette.accent,
        "fill-opacity": state("selected", 0, state("hover", 0.14, state("loaded", 0, 0.07))),
      },
    },
    {
      id: "partitions:edge",
      type: "line",
      source: "partitions",
      paint: { "line-color": palette.grid, "line-width": 1, "line-opacity": 0.38 },
    },
    {
      id: "partitions:selected",
      type: "line",
      source: "partitions",
      layout: { "line-join": "round" },
      paint: {
        "line-color": palette.accent,
        "line-width": 2.5,
        "line-opacity": state("selected", 1, state("hover", 0.6, 0)),
      },
    },
    {
      id: "partitions:label",
      type: "symbol",
      source: "partition-corners",
      minzoom: 12.6,
      layout: {
        "text-field": ["get", "id"],
        "text-font": ["system-ui"],
        "text-size": 11,
        "text-anchor": "top-left",
        "text-offset": [0.5, 0.4],
        "text-allow-overlap": false,
      },
      paint: { "text-color": palette.text, "text-halo-color": palette.halo, "text-halo-width": 1.4, "text-opacity": 0.85 },
    },
  ];
}

function selectionLayers(palette: Palette): LayerSpecification[] {
  const source = "selection";
  return [
    { id: "selection:area", type: "fill", source, filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": palette.accent, "fill-opacity": 0.5 } },
    { id: "selection:halo", type: "line", source, paint: { "line-color": palette.halo, "line-width": 6, "line-opacity": 0.9 } },
    { id: "selection:line", type: "line", source, paint: { "line-color": palette.accent, "line-width": 3 } },
    {
      id: "selection:point",
      type: "circle",
      source,
      filter: ["==", ["geometry-type"], "Point"],
      paint: { "circle-color": palette.accent, "circle-radius": 9, "circle-stroke-color": palette.halo, "circle-stroke-width": 3 },
    },
  ];
}

function landColor(palette: Palette): ExpressionSpecification {
  return ["match", ["get", "class"], ["sea", "river", "water"], palette.water, "park", palette.park, palette.land];
}

/** One colour for each kind of thing, by what most layers call it. */
function kindColor({ kinds }: Palette): ExpressionSpecification {
  const kind: ExpressionSpecification = ["coalesce", ["get", "class"], ["get", "category"], ""];
  return [
    "match",
    kind,
    ["residential", "cafe", "bakery", "supermarket"],
    kinds.teal,
    ["office", "library", "school", "secondary"],
    kinds.blue,
    ["hotel", "museum", "civic"],
    kinds.violet,
    ["retail", "restaurant"],
    kinds.amber,
    ["primary", "pharmacy"],
    kinds.coral,
    ["warehouse", "industrial", "workshop"],
    kinds.slate,
    kinds.teal,
  ];
}
