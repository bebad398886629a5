// How the page is built: plain files with hashed names and nothing inline, for a Content-Security-Policy without
// exceptions. The same sources give the same files.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const client = fileURLToPath(new URL("../../clients/typescript/src/index.ts", import.meta.url));

/** Where `npm run dev` finds a token-provider. */
const provider = process.env["TOKEN_PROVIDER_URL"] ?? "http://localhost:3000";

export default defineConfig({
  // The client's sources, so that the page shows what is in this repository; elsewhere: npm install of its folder.
  resolve: { alias: { "token-provider-client": client } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // MapLibre alone is more.
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      output: {
        // What changes seldom keeps its name, and with it its place in caches and in the repository's history.
        codeSplitting: {
          groups: [
            { name: "maplibre", test: /node_modules[\\/](maplibre-gl|@maplibre|@mapbox)[\\/]/ },
            { name: "here", test: /node_modules[\\/]@here[\\/]/ },
          ],
        },
      },
    },
  },
  server: {
    host: "localhost",
    port: 5173,
    proxy: { "/getToken": provider, "/config.json": provider, "/client.js": provider },
  },
});
