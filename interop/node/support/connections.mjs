// Watches the one place that every TCP connection of this process goes through, and lets none out but to loopback.
//
// To be imported before anything that may connect. fetch, node:http, node:https and node:tls all end in
// `net.Socket.prototype.connect`; it is called before a name is looked up, so that not even a DNS query gets out.

import net from "node:net";

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

let seen = [];

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  // net.connect() hands its arguments over as one array that is normalized already.
  const [first, second] = Array.isArray(args[0]) ? args[0] : args;
  const target =
    typeof first === "object" && first !== null
      ? first
      : typeof first === "string" && !/^\d+$/.test(first)
        ? { path: first }
        : { port: first, host: typeof second === "string" ? second : undefined };
  const host = target.path ?? target.host ?? "localhost";
  seen.push(target.path ?? `${host}:${target.port}`);
  if (!LOOPBACK.has(host)) {
    throw new Error(`a connection to ${host}, which is not loopback`);
  }
  return connect.apply(this, args);
};

/** Returns who was connected to since the last call, each once, as `host:port`. */
export function takeConnections() {
  const taken = [...new Set(seen)];
  seen = [];
  return taken;
}
