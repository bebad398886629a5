// HERE's data services, by way of HERE's own SDK: catalogs, layers, partitions, data. Nothing else in the page asks them.

import { DataStoreDownloadManager, HRN, OlpClientSettings, TileKey } from "@here/olp-sdk-core";
import {
  CatalogClient,
  CatalogRequest,
  CatalogVersionRequest,
  ConfigClient,
  DataRequest,
  PartitionsRequest,
  QuadKeyPartitionsRequest,
  VersionedLayerClient,
} from "@here/olp-sdk-dataservice-read";
import type { Config } from "./config.ts";
import type { Tokens } from "./tokens.ts";

export interface CatalogName {
  hrn: string;
  title: string;
}

export interface Catalog extends CatalogName {
  summary: string;
  version: number;
  layers: Layer[];
}

/** A versioned layer, partitioned by HERE tiles; the page shows no other kind. */
export interface Layer {
  id: string;
  name: string;
  summary: string;
  contentType: string;
  /** The deepest level of its tiles. */
  level: number;
  /** How many partitions it has, where the catalog tells. */
  partitions: number | undefined;
}

export interface Partition {
  id: string;
  dataHandle: string;
  version: number;
  size: number | undefined;
  checksum: string | undefined;
}

/** The most levels below a tile that one request can ask for. */
const INDEX_DEPTH = 4;

/** Dearer fields come only when asked for. */
const FIELDS = ["dataSize", "checksum"] as const;

export class Platform {
  readonly #settings: OlpClientSettings;
  readonly #tokens: Tokens;
  readonly #onData: (ok: boolean) => void;

  /** `onData` hears of every data request, whether it was answered with success. */
  constructor({ environment }: Pick<Config, "environment">, tokens: Tokens, onData: (ok: boolean) => void) {
    this.#tokens = tokens;
    this.#onData = onData;
    this.#settings = new OlpClientSettings({
      environment,
      getToken: tokens.getBearerToken,
      dm: new DataStoreDownloadManager((url, init) => this.#fetch(url, init)),
    });
  }

  async catalogs(): Promise<CatalogName[]> {
    const list = await new ConfigClient(this.#settings).getCatalogs();
    const items = (list.results?.items ?? []) as { hrn?: string; title?: string; name?: string }[];
    return items.flatMap(({ hrn, title, name }) => (hrn ? [{ hrn, title: title ?? name ?? hrn }] : []));
  }

  async catalog(hrn: string): Promise<Catalog> {
    const client = new CatalogClient(HRN.fromString(hrn), this.#settings);
    const [configuration, version] = await Promise.all([
      client.getCatalog(new CatalogRequest()),
      client.getLatestVersion(new CatalogVersionRequest()),
    ]);
    const range = new CatalogVersionRequest().withStartVersion(version - 1).withEndVersion(version);
    const counts = (await client.getVersions(range)).versions.at(-1)?.partitionCounts ?? {};
    const layers = configuration.layers.flatMap((layer): Layer[] => {
      if (!("partitioning" in layer) || String(layer.layerType) !== "versioned") return [];
      const { scheme, tileLevels } = layer.partitioning as { scheme: string; tileLevels?: number[] };
      if (scheme !== "heretile") return [];
      return [
        {
          id: layer.id,
          name: layer.name ?? layer.id,
          summary: layer.summary ?? "",
          contentType: String(layer.contentType ?? ""),
          level: Math.max(0, ...(tileLevels ?? [])),
          partitions: counts[layer.id],
        },
      ];
    });
    return { hrn, title: configuration.name, summary: configuration.summary, version, layers };
  }

  /** All partitions of a layer. */
  async partitions(catalog: Catalog, layer: Layer): Promise<Partition[]> {
    const request = new PartitionsRequest().withAdditionalFields([...FIELDS]);
    const { partitions } = await this.#layer(catalog, layer).getPartitions(request);
    return (partitions ?? []).map((found) => ({
      id: found.partition,
      dataHandle: found.dataHandle ?? "",
      version: found.version,
      size: found.dataSize,
      checksum: found.checksum,
    }));
  }

  /** The partitions below a tile, as far down as one request reaches. */
  async partitionsBelow(catalog: Catalog, layer: Layer, root: TileKey): Promise<Partition[]> {
    const request = new QuadKeyPartitionsRequest()
      .withQuadKey(root)
      .withDepth(INDEX_DEPTH)
      .withAdditionalFields([...FIELDS]);
    const { subQuads } = await this.#layer(catalog, layer).getPartitions(request);
    return (subQuads ?? []).map((found) => ({
      id: root.addedSubHereTile(found.subQuadKey).toHereTile(),
      dataHandle: found.dataHandle,
      version: found.version,
      size: found.dataSize,
      checksum: found.checksum,
    }));
  }

  /** The level of the tiles to ask `partitionsBelow` for. */
  static indexLevel(layer: Layer): number {
    return Math.max(0, layer.level - INDEX_DEPTH);
  }

  async data(catalog: Catalog, layer: Layer, partition: Partition): Promise<ArrayBuffer> {
    const request = new DataRequest().withDataHandle(partition.dataHandle);
    const response = await this.#layer(catalog, layer).getData(request);
    return response.arrayBuffer();
  }

  #layer({ hrn, version }: Catalog, { id }: Layer): VersionedLayerClient {
    return new VersionedLayerClient({
      catalogHrn: HRN.fromString(hrn),
      layerId: id,
      version,
      settings: this.#settings,
    });
  }

  /** What the SDK sends its requests with. It repeats them after 429 and 5xx by itself, but knows nothing of 401. */
  async #fetch(url: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const response = await this.#send(url, init);
    const token = new Headers(init?.headers).get("Authorization")?.replace(/^Bearer /, "");
    if (response.status !== 401 || token === undefined) return response;
    this.#tokens.refused(token);
    const another = await this.#tokens.getBearerToken();
    if (another === token) return response;
    const headers = new Headers(init?.headers);
    headers.set("Authorization", `Bearer ${another}`);
    return this.#send(url, { ...init, headers });
  }

  async #send(url: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    try {
      const response = await fetch(url, init);
      this.#onData(response.ok);
      return response;
    } catch (error) {
      this.#onData(false);
      throw error;
    }
  }
}

/** What to tell of an error that the SDK rejects with: an `Error`, or just a text. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // The SDK puts the whole answer into the message: for people, what it says is enough.
  const json = /\{.*\}/s.exec(text)?.[0];
  const { error_description, detail, title, status } = json ? answerOf(json) : {};
  const said = [error_description, detail, title].find((part) => typeof part === "string");
  const short = said ?? (json ? (status === undefined ? text.replace(json, "").trim() : `HTTP ${status}`) : text);
  return short.length > 200 ? `${short.slice(0, 200)}…` : short || "no reason was given";
}

function answerOf(json: string): Record<string, unknown> {
  try {
    const answer: unknown = JSON.parse(json);
    return typeof answer === "object" && answer !== null ? (answer as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
