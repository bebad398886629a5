// HERE's SDK reads a layer end to end, data service and all, with tokens from the server through the TypeScript client.

import { takeConnections } from "../support/connections.mjs";

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DataStoreDownloadManager, HRN, OlpClientSettings, TileKey } from "@here/olp-sdk-core";
import {
  CatalogClient,
  CatalogRequest,
  ConfigClient,
  DataRequest,
  PartitionsRequest,
  QuadKeyPartitionsRequest,
  VersionedLayerClient,
} from "@here/olp-sdk-dataservice-read";

import { createTokenClient } from "../../../clients/typescript/dist/index.js";
import { startServer, stats } from "../support/command.mjs";

const timeout = 120_000;
const CATALOG = HRN.fromString("hrn:here:data::sandbox:port-meridian");
const LAYER = "places";
/** The whole city is below this tile. */
const ROOT_LEVEL = 11;

let server;
/** Requests to `/getToken` so far. */
let tokenRequests;

before(async () => {
  server = await startServer("--sandbox");
});

after(async () => {
  if (server) assert.equal(await server.stop(), 0);
});

const countingFetch = (input, init) => {
  tokenRequests++;
  return fetch(input, init);
};

const tokenClient = (options) =>
  createTokenClient(`${server.origin}/getToken`, { ttl: 3600, fetch: countingFetch, ...options });

/** Settings as an application makes them. Five times the SDK repeats what failed; here once is enough. */
function settingsWith(getToken, send = fetch) {
  const dm = new DataStoreDownloadManager((url, init) => send(url, init), 1);
  return new OlpClientSettings({ environment: `${server.sandbox}/lookup/v1`, getToken, dm });
}

/** Reads all of a layer: its partitions in one list, then the data of each. Returns the features. */
async function readLayer(settings) {
  const client = new VersionedLayerClient({ catalogHrn: CATALOG, layerId: LAYER, settings });
  const { partitions } = await client.getPartitions(new PartitionsRequest());
  const features = [];
  for (const { partition, dataHandle } of partitions) {
    const response = await client.getData(new DataRequest().withDataHandle(dataHandle));
    const collection = await response.json();
    assert.equal(collection.type, "FeatureCollection", partition);
    features.push(...collection.features);
  }
  return { partitions, features };
}

/** Runs, and returns what it cost. */
async function counted(run) {
  tokenRequests = 0;
  const before = await stats(server.sandbox);
  const result = await run();
  const now = await stats(server.sandbox);
  return {
    ...result,
    data: now.data_requests - before.data_requests,
    failed: now.data_failures - before.data_failures,
    tokens: tokenRequests,
  };
}

test("a catalog is found and described", { timeout }, async () => {
  const settings = settingsWith(tokenClient().getToken);
  const { results } = await new ConfigClient(settings).getCatalogs();
  assert.ok(results.items.some(({ hrn }) => hrn === CATALOG.toString()));
  const { layers } = await new CatalogClient(CATALOG, settings).getCatalog(new CatalogRequest());
  assert.ok(layers.some(({ id }) => id === LAYER));
});

test("a whole layer costs N data requests and one token request", { timeout }, async () => {
  const { getToken } = tokenClient();
  const read = await counted(() => readLayer(settingsWith(getToken)));
  assert.ok(read.partitions.length > 10, `${read.partitions.length} partitions`);
  assert.ok(read.features.length > 100, `${read.features.length} features`);
  assert.ok(read.features.every(({ geometry, properties }) => geometry.type === "Point" && properties.name));
  assert.ok(read.data > read.partitions.length, `${read.data} data requests`);
  assert.deepEqual([read.tokens, read.failed], [1, 0]);
  const hosts = [server.origin, server.sandbox].map((url) => new URL(url).host);
  assert.deepEqual(takeConnections().sort(), hosts.sort(), "nobody else has been asked since the start");

  // What a person would write first: the server is asked each time, and answers from its cache.
  const issued = (await stats(server.sandbox)).tokens_issued;
  const plain = async () => (await countingFetch(`${server.origin}/getToken?ttl=3600`)).text();
  const plainly = await counted(() => readLayer(settingsWith(plain)));
  assert.equal(plainly.features.length, read.features.length);
  assert.equal(plainly.tokens, plainly.data, "a token request for each data request");
  assert.equal((await stats(server.sandbox)).tokens_issued, issued, "HERE is asked for none of them");
  console.log(`${read.features.length} features: ${read.data} data requests, ${read.tokens} token request; plainly: ${plainly.tokens}`);
});

test("partitions are found by tile, and by name", { timeout }, async () => {
  const settings = settingsWith(tokenClient().getToken);
  const client = new VersionedLayerClient({ catalogHrn: CATALOG, layerId: LAYER, settings });
  const { partitions } = await client.getPartitions(new PartitionsRequest());
  const [first] = partitions;
  let root = TileKey.fromHereTile(first.partition);
  while (root.level > ROOT_LEVEL) root = root.parent();
  const { subQuads } = await client.getPartitions(new QuadKeyPartitionsRequest().withQuadKey(root).withDepth(4));
  const found = subQuads.map(({ subQuadKey }) => root.addedSubHereTile(subQuadKey).toHereTile());
  assert.ok(found.includes(first.partition));
  const byName = await client.getData(new DataRequest().withPartitionId(first.partition));
  const byHandle = await client.getData(new DataRequest().withDataHandle(first.dataHandle));
  assert.deepEqual(await byName.json(), await byHandle.json());
});

test("a token that the service refuses is exchanged behind the SDK's back", { timeout }, async () => {
  // As from a provider that was pointed at another account a moment ago.
  const client = tokenClient({
    fetch: async (input, init) => {
      if (!String(input).startsWith(server.origin) || tokenRequests > 0) return countingFetch(input, init);
      tokenRequests++;
      return new Response("token-of-another-account", { headers: { "Token-Expires-In": "3600" } });
    },
  });
  // The SDK knows nothing of 401; the client's fetch does.
  const settings = settingsWith(client.getToken, client.fetch);
  const read = await counted(() => readLayer(settings));
  assert.ok(read.features.length > 100);
  assert.deepEqual([read.failed, client.status().requests], [1, 2], "one refusal, one more token request");
});

test("a foreign token gets 401, as at HERE", { timeout }, async () => {
  const settings = settingsWith(async () => "not-a-token-of-this-account");
  const client = new VersionedLayerClient({ catalogHrn: CATALOG, layerId: LAYER, settings });
  await assert.rejects(client.getPartitions(new PartitionsRequest()), (error) => /401|Unauthorized/i.test(String(error.message ?? error)));
});
