// Looking through a catalog: which partitions there are, what has been loaded, what is open.

import type { Feature } from "geojson";
import type { Config } from "./config.ts";
import { decode, type Decoded } from "./decode.ts";
import { Details, positions } from "./details.ts";
import { alertUser, announce, byId, make, rove, setText } from "./dom.ts";
import type { MapView } from "./map.ts";
import { Platform, reason, type Catalog, type CatalogName, type Layer, type Partition } from "./platform.ts";
import { bytes, count, counted } from "./text.ts";
import { boundsOf, tileOf, tilesWithin, union, type Bounds } from "./tiles.ts";

/** The most tiles of the index that are asked for at once; with more in view, the map is too far away. */
const MAX_ROOTS = 12;

/** The most partitions that are listed. */
const MAX_LISTED = 400;

/** What is known of a layer, as long as its catalog is shown. */
interface Loaded {
  layer: Layer;
  /** All partitions that have been heard of, by name. */
  partitions: Map<string, Partition>;
  /** The index tiles that have been asked for; nothing when the whole layer was listed. */
  roots: Set<string> | undefined;
  contents: Map<string, Promise<Decoded>>;
  features: Feature[];
}

export class Browser {
  readonly #config: Config;
  readonly #platform: Platform;
  readonly #map: MapView | undefined;
  readonly #details: Details;
  #catalog: Catalog | undefined;
  #layers = new Map<string, Loaded>();
  #active: Loaded | undefined;
  #opened: string | undefined;
  /** Features by the number that the map knows them by, and where they come from. */
  #numbered: { feature: Feature; layer: string; partition: string }[] = [];
  #isDrawing = false;
  /** Where to go back to when the details are closed. */
  #opener: HTMLElement | undefined;

  constructor(config: Config, platform: Platform, map: (events: ConstructorParameters<typeof MapView>[1]) => MapView | undefined) {
    this.#config = config;
    this.#platform = platform;
    this.#details = new Details({
      onFeature: (feature) => this.#showFeature(feature),
      onClose: () => this.#close(),
    });
    this.#map = map({
      onPartition: (id) => void this.open(id),
      onFeature: (number) => this.#openFeature(number),
      onMove: (bounds) => void this.#discover(bounds),
    });
    rove(byId("partitions"));
    byId("load-all").addEventListener("click", () => void this.loadAll());
    byId("zoom-in").addEventListener("click", () => this.#map?.zoomBy(1));
    byId("zoom-out").addEventListener("click", () => this.#map?.zoomBy(-1));
    byId("zoom-fit").addEventListener("click", () => this.#fit());
  }

  /** Offers the catalogs, and shows the first. */
  async start(): Promise<void> {
    const { catalogHrn } = this.#config;
    const catalogs = await this.#platform.catalogs().catch((error: unknown): CatalogName[] => {
      // Listing takes more rights than reading: one known by name will do.
      if (catalogHrn === undefined) throw error;
      return [];
    });
    if (catalogHrn !== undefined && !catalogs.some(({ hrn }) => hrn === catalogHrn)) {
      catalogs.unshift({ hrn: catalogHrn, title: catalogHrn.split(":").at(-1) ?? catalogHrn });
    }
    const select = byId<HTMLSelectElement>("catalog");
    select.replaceChildren(...catalogs.map(({ hrn, title }) => make("option", { value: hrn }, title)));
    const first = catalogHrn ?? catalogs[0]?.hrn;
    if (first === undefined) throw new Error("The account has access to no catalog.");
    select.value = first;
    select.disabled = false;
    select.addEventListener("change", () => void this.#show(select.value));
    await this.#show(first);
  }

  /** Reads a partition that has been read before once more; tells whether there was one. */
  async readAgain(): Promise<boolean> {
    const [catalog, active] = [this.#catalog, this.#active];
    const known = [...(active?.partitions.values() ?? [])];
    const partition = known[Math.floor(Math.random() * known.length)];
    if (!catalog || !active || !partition) return false;
    await this.#platform.data(catalog, active.layer, partition);
    return true;
  }

  async #show(hrn: string): Promise<void> {
    try {
      const catalog = await this.#platform.catalog(hrn);
      this.#close();
      this.#catalog = catalog;
      this.#numbered = [];
      this.#layers = new Map(
        catalog.layers.map((layer) => [
          layer.id,
          { layer, partitions: new Map(), roots: new Set<string>(), contents: new Map(), features: [] },
        ]),
      );
      setText(byId("where"), catalog.summary);
      const wanted = catalog.layers.find(({ id }) => id === this.#config.layer) ?? catalog.layers[0];
      this.#offerLayers(catalog.layers, wanted?.id);
      if (!wanted) throw new Error("The catalog has no versioned layer that is partitioned by HERE tiles.");
      await this.#activate(wanted.id);
      this.#fit(false);
      if (this.#config.autoload) {
        const context = catalog.layers.filter(({ id }) => id !== wanted.id && this.#config.context.includes(id));
        for (const { id } of context) await this.#list(this.#layers.get(id));
        const all = [wanted, ...context].map(({ id }) => this.#layers.get(id));
        await Promise.all(all.map((loaded) => this.#loadAll(loaded)));
      }
      alertUser(undefined);
    } catch (error) {
      alertUser(`The catalog could not be read: ${reason(error)}`);
    }
  }

  #offerLayers(layers: readonly Layer[], checked: string | undefined): void {
    const fieldset = byId("layers");
    for (const label of fieldset.querySelectorAll("label")) label.remove();
    for (const { id, name, summary } of layers) {
      const input = make("input", { type: "radio", name: "layer", value: id });
      input.checked = id === checked;
      input.addEventListener("change", () => void this.#switchTo(id));
      fieldset.append(make("label", {}, input, make("span", {}, make("strong", {}, name), make("small", {}, summary))));
    }
  }

  async #switchTo(id: string): Promise<void> {
    try {
      this.#close();
      await this.#activate(id);
      if (this.#config.autoload) await this.#loadAll(this.#active);
      alertUser(undefined);
    } catch (error) {
      alertUser(`The layer could not be read: ${reason(error)}`);
    }
  }

  async #activate(id: string): Promise<void> {
    const loaded = this.#layers.get(id);
    if (!loaded) return;
    this.#active = loaded;
    await this.#map?.showLayers([...this.#layers.keys()], id);
    await this.#list(loaded);
    await this.#showPartitions();
    announce(`${loaded.layer.name}: ${counted(loaded.partitions.size, "partition")}.`);
  }

  /** Finds out about a layer's partitions: all of them, or those in view where there are too many. */
  async #list(loaded: Loaded | undefined): Promise<void> {
    if (!loaded || !this.#catalog || !loaded.roots) return;
    const { layer } = loaded;
    if ((layer.partitions ?? Infinity) <= this.#config.listUpTo) {
      for (const partition of await this.#platform.partitions(this.#catalog, layer)) loaded.partitions.set(partition.id, partition);
      loaded.roots = undefined;
      return;
    }
    if (this.#map) await this.#discover(this.#map.bounds());
  }

  /** Asks the index about tiles that have come into view. */
  async #discover(bounds: Bounds): Promise<void> {
    const [catalog, loaded] = [this.#catalog, this.#active];
    if (!catalog || !loaded?.roots) return;
    const roots = tilesWithin(bounds, Platform.indexLevel(loaded.layer), MAX_ROOTS);
    this.#note(roots ? undefined : "Zoom in to see the partitions of this large layer.");
    const news = (roots ?? []).filter((root) => !loaded.roots?.has(root.toHereTile()));
    try {
      await Promise.all(
        news.map(async (root) => {
          loaded.roots?.add(root.toHereTile());
          const found = await this.#platform.partitionsBelow(catalog, loaded.layer, root).catch((error: unknown) => {
            loaded.roots?.delete(root.toHereTile());
            throw error;
          });
          for (const partition of found) loaded.partitions.set(partition.id, partition);
        }),
      );
      if (news.length > 0 && loaded === this.#active) await this.#showPartitions();
    } catch (error) {
      alertUser(`The partitions in view could not be listed: ${reason(error)}`);
    }
  }

  async #showPartitions(): Promise<void> {
    const loaded = this.#active;
    if (!loaded) return;
    const tiles = [...loaded.partitions.keys()].flatMap((id) => {
      const tile = tileOf(id);
      return tile ? [{ id, bounds: boundsOf(tile) }] : [];
    });
    await this.#map?.showPartitions(tiles);
    await this.#map?.markLoaded(loaded.contents.keys());
    this.#map?.select(this.#opened);
    this.#listPartitions();
  }

  #listPartitions(): void {
    const loaded = this.#active;
    if (!loaded) return;
    // From north to south and from west to east, as they lie on the map.
    const place = (id: string): [number, number] => {
      const tile = tileOf(id);
      return tile ? [-tile.row, tile.column] : [0, 0];
    };
    const sorted = [...loaded.partitions.values()].sort((a, b) => {
      const [one, other] = [place(a.id), place(b.id)];
      return one[0] - other[0] || one[1] - other[1];
    });
    const items = sorted.slice(0, MAX_LISTED).map((partition) => {
      const button = make(
        "button",
        { type: "button", "data-partition": partition.id, "aria-current": String(partition.id === this.#opened) },
        make("span", { class: "name" }, partition.id),
        make("span", { class: "kind" }, partition.size === undefined ? "" : bytes(partition.size)),
      );
      if (loaded.contents.has(partition.id)) button.classList.add("loaded");
      button.addEventListener("click", () => void this.open(partition.id, undefined, button));
      button.addEventListener("focus", () => this.#map?.hover(partition.id));
      button.addEventListener("blur", () => this.#map?.hover(undefined));
      button.addEventListener("mouseenter", () => this.#map?.hover(partition.id));
      button.addEventListener("mouseleave", () => this.#map?.hover(undefined));
      return make("li", {}, button);
    });
    if (sorted.length > MAX_LISTED) items.push(make("li", { class: "note" }, `${count(sorted.length - MAX_LISTED)} more on the map`));
    byId("partitions").replaceChildren(...items);
    setText(byId("partitions-count"), count(sorted.length));
    byId("load-all").hidden = sorted.length === 0 || sorted.length > MAX_LISTED || loaded.contents.size === sorted.length;
  }

  /** Opens a partition, with one of its features if that is meant. */
  async open(id: string, feature?: Feature, opener?: HTMLElement): Promise<void> {
    const loaded = this.#active;
    const partition = loaded?.partitions.get(id);
    if (!loaded || !partition) return;
    this.#opener = opener;
    this.#mark(id);
    try {
      const decoded = await this.#load(loaded, partition);
      if (this.#active !== loaded || this.#opened !== id) return;
      this.#details.open({ partition, contentType: loaded.layer.contentType, decoded }, feature);
      const tile = tileOf(id);
      if (tile && !feature) this.#map?.approach(boundsOf(tile));
      if (feature) this.#details.select(feature);
      const what = decoded.kind === "features" ? counted(decoded.features.length, "feature") : "no features";
      announce(`Partition ${id} opened: ${what}.`);
      if (opener) byId("details-title").focus();
      alertUser(undefined);
    } catch (error) {
      alertUser(`Partition ${id} could not be read: ${reason(error)}`);
    }
  }

  async loadAll(): Promise<void> {
    try {
      await this.#loadAll(this.#active);
      alertUser(undefined);
    } catch (error) {
      alertUser(`Not all partitions could be read: ${reason(error)}`);
    }
  }

  async #loadAll(loaded: Loaded | undefined): Promise<void> {
    if (!loaded) return;
    await Promise.all([...loaded.partitions.values()].map((partition) => this.#load(loaded, partition)));
    announce(`${loaded.layer.name}: ${counted(loaded.contents.size, "partition")} loaded.`);
  }

  #load(loaded: Loaded, partition: Partition): Promise<Decoded> {
    const catalog = this.#catalog;
    const known = loaded.contents.get(partition.id);
    if (known || !catalog) return known ?? Promise.reject(new Error("no catalog"));
    const loading = this.#platform.data(catalog, loaded.layer, partition).then(decode);
    loaded.contents.set(partition.id, loading);
    loading.then(
      (decoded) => {
        if (decoded.kind === "features") this.#adopt(loaded, partition, decoded.features);
        void this.#draw();
      },
      // Another click tries again.
      () => loaded.contents.delete(partition.id),
    );
    return loading;
  }

  /** Gives features the numbers that the map needs, and keeps their own ids as names. */
  #adopt(loaded: Loaded, partition: Partition, features: Feature[]): void {
    if (this.#layers.get(loaded.layer.id) !== loaded) return;
    for (const feature of features) {
      if (feature.id !== undefined) Object.assign(feature, { name: feature.id });
      feature.id = this.#numbered.length;
      this.#numbered.push({ feature, layer: loaded.layer.id, partition: partition.id });
      loaded.features.push(feature);
    }
  }

  /** Draws what has come, once for all that comes at a time. */
  async #draw(): Promise<void> {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    await new Promise((resolve) => setTimeout(resolve, 80));
    this.#isDrawing = false;
    for (const { layer, features } of this.#layers.values()) {
      if (features.length > 0) await this.#map?.showFeatures(layer.id, features);
    }
    const loaded = this.#active;
    if (!loaded) return;
    await this.#map?.markLoaded(loaded.contents.keys());
    for (const button of byId("partitions").querySelectorAll("button")) {
      button.classList.toggle("loaded", loaded.contents.has(button.dataset["partition"] ?? ""));
    }
    byId("load-all").hidden ||= loaded.contents.size === loaded.partitions.size;
  }

  #openFeature(number: number): void {
    const found = this.#numbered[number];
    if (!found || found.layer !== this.#active?.layer.id) return;
    if (this.#opened === found.partition && !byId("details").hidden) this.#details.select(found.feature);
    else void this.open(found.partition, found.feature);
  }

  #showFeature(feature: Feature | undefined): void {
    void this.#map?.showSelection(feature);
    const area = feature && union(positions(feature.geometry).map(([x, y]): Bounds => [x, y, x, y]));
    if (area) this.#map?.reveal(area);
  }

  #close(): void {
    const hadFocus = byId("details").contains(document.activeElement);
    if (!byId("details").hidden) this.#details.close();
    this.#mark(undefined);
    if (hadFocus) (this.#opener?.isConnected ? this.#opener : byId("partitions-title")).focus();
  }

  #mark(id: string | undefined): void {
    this.#opened = id;
    this.#map?.select(id);
    for (const button of byId("partitions").querySelectorAll("button")) {
      const isOpen = button.dataset["partition"] === id;
      button.setAttribute("aria-current", String(isOpen));
      if (isOpen) button.scrollIntoView({ block: "nearest" });
    }
  }

  #fit(animate = true): void {
    const ids = [...(this.#active?.partitions.keys() ?? [])];
    const area = union(ids.flatMap((id) => tileOf(id) ?? []).map(boundsOf));
    if (area) this.#map?.fit(area, { animate });
  }

  #note(text: string | undefined): void {
    byId("partitions-note").hidden = text === undefined;
    setText(byId("partitions-note"), text ?? "");
  }
}
