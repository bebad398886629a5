// What the page is told about its surroundings: `/config.json`, served beside it.

/** See README.md for what each is for. */
export interface Config {
  /** Where tokens come from. */
  tokenUrl: string;
  /** Lifetime to ask for, in seconds. */
  ttl: number;
  /** HERE environment, such as `here`, or the URL of a look-up service, ending in `/lookup/v1`. */
  environment: string;
  /** The catalog to begin with; without it, the first one that the account has access to. */
  catalogHrn: string | undefined;
  /** The layer to begin with; without it, the first versioned one that is partitioned by HERE tiles. */
  layer: string | undefined;
  /** Layers whose data are loaded at the start, to show the first one in its surroundings. */
  context: string[];
  /** Whether all partitions in view are loaded without being asked for. */
  autoload: boolean;
  /** A catalog with up to so many partitions in a layer has them listed in one request, larger ones by tile in view. */
  listUpTo: number;
  /** Where the map begins, for catalogs that are not listed: longitude, latitude, zoom. */
  view: [number, number, number] | undefined;
  /** The sandbox, where one is behind the tokens: it can be made to fail. */
  sandboxOrigin: string | undefined;
}

export async function loadConfig(): Promise<Config> {
  const response = await fetch("/config.json");
  if (!response.ok) throw new Error(`/config.json: HTTP ${response.status}`);
  return parseConfig(await response.json());
}

export function parseConfig(json: unknown): Config {
  if (typeof json !== "object" || json === null) throw new Error("/config.json is not an object");
  const given = json as Record<string, unknown>;
  const text = (name: string): string | undefined => {
    const value = given[name];
    if (value !== undefined && typeof value !== "string") throw new Error(`/config.json: ${name} is not a text`);
    return value;
  };
  const number = (name: string, otherwise: number): number => {
    const value = given[name] ?? otherwise;
    if (typeof value !== "number" || !Number.isFinite(value)) throw new Error(`/config.json: ${name} is not a number`);
    return value;
  };
  const { context = [], view } = given;
  const isView = (value: unknown): value is [number, number, number] =>
    Array.isArray(value) && value.length === 3 && value.every((part) => typeof part === "number");
  if (view !== undefined && !isView(view)) throw new Error("/config.json: view is not [longitude, latitude, zoom]");
  return {
    tokenUrl: text("tokenUrl") ?? "/getToken",
    ttl: number("ttl", 3600),
    environment: text("lookupUrl") ?? text("environment") ?? "here",
    catalogHrn: text("catalogHrn"),
    layer: text("layer"),
    context: Array.isArray(context) ? context.filter((id) => typeof id === "string") : [],
    autoload: given["autoload"] === true,
    listUpTo: number("listUpTo", 1000),
    view,
    sandboxOrigin: text("sandboxOrigin"),
  };
}
