// A port for a program that cannot be told to take any: most take port 0, and are to.

import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that Linux (from 32768) and macOS (from 49152) give out by themselves: nobody else is given one of these. */
const FIRST = 20_000;
const COUNT = 12_000;

/** Returns a port that nobody listens at, and that nobody is given before it is used. */
export async function freePort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const server = createServer().listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
    } catch (error) {
      if (error.code === "EADDRINUSE") continue;
      throw error;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}
