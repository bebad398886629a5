// The map: partitions to click on, and the features that have been loaded.

import { GeoJSONSource, Map as MapLibre, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import type { Feature, FeatureCollection, Geometry } from "geojson";
import { EMPTY_STYLE, layersFor, sourceOf, type Scheme } from "./style.ts";
import type { Bounds } from "./tiles.ts";

export interface Tile {
  id: string;
  bounds: Bounds;
}

export interface MapEvents {
  onPartition(id: string): void;
  /** A feature of the layer under inspection, by the number it was given to the map with. */
  onFeature(number: number): void;
  /** What is in view has changed. */
  onMove(bounds: Bounds): void;
}

/** Room round what is to be seen, in pixels. */
const PADDING = 28;

/** The share of the view that an area fills when its contents can be made out. */
const CLOSE = 0.45;

/** How close a click has to be, in pixels: a finger is wider than a tram line. */
const REACH = 4;

export class MapView {
  readonly #map: MapLibre;
  readonly #ready: Promise<unknown>;
  readonly #dark = matchMedia("(prefers-color-scheme: dark)");
  #ids: readonly string[] = [];
  #active = "";
  #hovered: string | undefined;
  #selected: string | undefined;

  /** @throws where there is no WebGL. */
  constructor(container: HTMLElement, events: MapEvents, view: [number, number, number] | undefined) {
    setWorkerUrl(workerUrl);
    this.#map = new MapLibre({
      container,
      style: EMPTY_STYLE,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      maxZoom: 19,
      fadeDuration: 0,
      ...(view ? { center: [view[0], view[1]], zoom: view[2] } : { center: [0, 20], zoom: 1 }),
      locale: { "Map.Title": "Map of the partitions. Arrow keys move it, plus and minus zoom; the list has every partition, too" },
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.keyboard.disableRotation();
    this.#ready = this.#map.once("load");
    this.#map.on("moveend", () => events.onMove(this.bounds()));
    this.#map.on("click", ({ point }) => {
      const box: [[number, number], [number, number]] = [
        [point.x - REACH, point.y - REACH],
        [point.x + REACH, point.y + REACH],
      ];
      const layers = ["point", "line", "area"].map((part) => `${this.#active}:${part}`).filter((id) => this.#map.getLayer(id));
      const feature = this.#map.queryRenderedFeatures(box, { layers }).sort((a, b) => rank(a.geometry) - rank(b.geometry))[0];
      if (typeof feature?.id === "number") return events.onFeature(feature.id);
      const partition = this.#map.queryRenderedFeatures(point, { layers: ["partitions:area"] })[0];
      if (typeof partition?.id === "string") events.onPartition(partition.id);
    });
    this.#map.on("mousemove", ({ point }) => {
      if (!this.#map.getLayer("partitions:area")) return;
      const id = this.#map.queryRenderedFeatures(point, { layers: ["partitions:area"] })[0]?.id;
      this.hover(typeof id === "string" ? id : undefined);
      this.#map.getCanvas().classList.toggle("pointing", id !== undefined);
    });
    this.#map.on("mouseout", () => this.hover(undefined));
    this.#dark.addEventListener("change", () => this.#paint());
  }

  bounds(): Bounds {
    const bounds = this.#map.getBounds();
    return [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
  }

  /** Makes room for a catalog's layers. */
  async showLayers(ids: readonly string[], active: string): Promise<void> {
    await this.#ready;
    if (ids.join() !== this.#ids.join()) {
      for (const { id } of this.#map.getStyle().layers) this.#map.removeLayer(id);
      for (const source of Object.keys(this.#map.getStyle().sources)) this.#map.removeSource(source);
      const empty = collection([]);
      for (const source of [...ids.map(sourceOf), "partition-corners", "selection"]) {
        this.#map.addSource(source, { type: "geojson", data: empty });
      }
      this.#map.addSource("partitions", { type: "geojson", data: empty, promoteId: "id" });
      for (const layer of layersFor(this.#scheme(), ids, active)) this.#map.addLayer(layer);
      this.#ids = ids;
    }
    this.#active = active;
    this.#paint();
  }

  /** Features need numbers for ids, which `onFeature` gives back. */
  async showFeatures(layer: string, features: Feature[]): Promise<void> {
    await this.#setData(sourceOf(layer), features);
  }

  async showPartitions(tiles: readonly Tile[]): Promise<void> {
    const area = ({ id, bounds: [west, south, east, north] }: Tile): Feature => ({
      type: "Feature",
      geometry: { type: "Polygon", coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]] },
      properties: { id },
    });
    const corner = ({ id, bounds: [west, , , north] }: Tile): Feature => ({
      type: "Feature",
      geometry: { type: "Point", coordinates: [west, north] },
      properties: { id },
    });
    await this.#setData("partitions", tiles.map(area));
    await this.#setData("partition-corners", tiles.map(corner));
    this.#map.removeFeatureState({ source: "partitions" });
    this.#hovered = this.#selected = undefined;
  }

  async markLoaded(ids: Iterable<string>): Promise<void> {
    await this.#ready;
    for (const id of ids) this.#setState(id, { loaded: true });
  }

  select(id: string | undefined): void {
    if (this.#selected) this.#setState(this.#selected, { selected: false });
    this.#selected = id;
    if (id) this.#setState(id, { selected: true });
  }

  hover(id: string | undefined): void {
    if (id === this.#hovered) return;
    if (this.#hovered) this.#setState(this.#hovered, { hover: false });
    this.#hovered = id;
    if (id) this.#setState(id, { hover: true });
  }

  async showSelection(feature: Feature | undefined): Promise<void> {
    await this.#setData("selection", feature ? [feature] : []);
  }

  fit([west, south, east, north]: Bounds, options: { maxZoom?: number; animate?: boolean } = {}): void {
    // The details may have just taken half of the room.
    this.#map.resize();
    this.#map.fitBounds([[west, south], [east, north]], { padding: PADDING, duration: 600, maxZoom: 16, ...options });
  }

  zoomBy(levels: number): void {
    this.#map.zoomTo(this.#map.getZoom() + levels, { duration: 250 });
  }

  /** Brings an area into view, and leaves the map as it is where it is in view already. */
  reveal(bounds: Bounds): void {
    if (!this.#isInView(bounds)) this.fit(bounds, { maxZoom: this.#map.getZoom() });
  }

  /** Goes close enough to see what is in an area. */
  approach(bounds: Bounds): void {
    const [west, south, east, north] = this.bounds();
    const share = Math.max((bounds[2] - bounds[0]) / (east - west), (bounds[3] - bounds[1]) / (north - south));
    if (share < CLOSE || !this.#isInView(bounds)) this.fit(bounds);
  }

  #isInView(bounds: Bounds): boolean {
    const [west, south, east, north] = this.bounds();
    return bounds[0] >= west && bounds[1] >= south && bounds[2] <= east && bounds[3] <= north;
  }

  async #setData(source: string, features: Feature[]): Promise<void> {
    await this.#ready;
    const found = this.#map.getSource(source);
    if (found instanceof GeoJSONSource) found.setData(collection(features));
  }

  #setState(id: string, state: Record<string, boolean>): void {
    if (this.#map.getSource("partitions")) this.#map.setFeatureState({ source: "partitions", id }, state);
  }

  #scheme(): Scheme {
    return this.#dark.matches ? "dark" : "light";
  }

  #paint(): void {
    for (const { id, ...layer } of layersFor(this.#scheme(), this.#ids, this.#active)) {
      if (!this.#map.getLayer(id)) continue;
      for (const [name, value] of Object.entries(layer.paint ?? {})) this.#map.setPaintProperty(id, name as never, value as never);
      const { visibility } = (layer.layout ?? {}) as { visibility?: "visible" | "none" };
      if (visibility) this.#map.setLayoutProperty(id, "visibility", visibility);
    }
  }
}

/** Points before lines before areas: what is small is hard to hit. */
function rank({ type }: Geometry): number {
  return type.endsWith("Point") ? 0 : type.endsWith("LineString") ? 1 : 2;
}

function collection(features: Feature[]): FeatureCollection {
  return { type: "FeatureCollection", features };
}
