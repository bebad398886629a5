// Type checks of a program without the DOM's types: the declarations must do with those of Node.

import { createTokenClient, TokenError, type TokenClient, type TokenStatus } from "token-provider-client";

const client: TokenClient = createTokenClient(new URL("http://localhost:3000/getToken"), {
  ttl: 3600,
  headers: async () => ({ "X-API-Key": "tp_…" }),
  allowedOrigins: ["https://*.hereapi.com"],
  fetch: (input, init) => fetch(input, init),
  onError: (error) => console.error(error.code, error.retryAfter),
});

// As HERE's clients declare their callbacks.
export const settings: { getToken: () => Promise<string> } = { getToken: client.getToken };
export const inspector: { getBearerToken: () => Promise<string> } = client;
export const platformFetch: typeof fetch = client.fetch;
export const status: TokenStatus = client.status();

export async function tile(signal: AbortSignal): Promise<ArrayBuffer | undefined> {
  try {
    const response = await client.fetch("https://data.example/1", { signal });
    return await response.arrayBuffer();
  } catch (error) {
    if (error instanceof TokenError && error.code === "access_denied") return undefined;
    throw error;
  }
}

// @ts-expect-error seconds are a number
createTokenClient("/getToken", { ttl: "3600" });
// @ts-expect-error no such option
createTokenClient("/getToken", { timeout: 5 });
// @ts-expect-error the token is not part of it
client.status().token;
