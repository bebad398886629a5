// From a partition's bytes to features.

import type { Feature, FeatureCollection, Geometry } from "geojson";

/** What a partition turned out to hold. */
export type Decoded =
  | { kind: "features"; features: Feature<Geometry>[] }
  /** Text or numbers without geometry: JSON, CSV. */
  | { kind: "text"; text: string }
  /** Anything else, protobuf above all: it takes the layer's schema to read it. */
  | { kind: "bytes"; preview: string };

/** How much of a blob without features is shown. */
const PREVIEW_CHARACTERS = 4000;
const PREVIEW_BYTES = 256;

export async function decode(blob: ArrayBuffer): Promise<Decoded> {
  const bytes = await inflate(new Uint8Array(blob));
  const text = asText(bytes);
  if (text === undefined) return { kind: "bytes", preview: hexDump(bytes.subarray(0, PREVIEW_BYTES)) };
  const features = asFeatures(text);
  if (features) return { kind: "features", features };
  return { kind: "text", text: text.slice(0, PREVIEW_CHARACTERS) };
}

/** Layers may be stored compressed, and are then delivered as they are stored. */
async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function asText(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // Short protobuf messages are often valid UTF-8, but hardly ever without control characters.
    return /[\u0000-\u0008\u000e-\u001f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function asFeatures(text: string): Feature[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { type, features } = (json ?? {}) as Partial<FeatureCollection>;
  if (type === "FeatureCollection" && Array.isArray(features)) return features.filter((feature) => feature?.geometry);
  return type === ("Feature" as string) ? [json as Feature] : undefined;
}

function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const line = [...bytes.subarray(at, at + 16)];
    const hex = line.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = line.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}
