// One request as it is written here, on a connection of its own.

import { once } from "node:events";
import { request as overHttp } from "node:http";
import { request as overHttps } from "node:https";

/** Sends it to the host of its URL, or to another place (`at`: host, port and authority), with the URL's `Host` all the same. */
export async function send({ method, url, headers, body, at = {} }) {
  const { protocol, host, hostname, port, pathname, search } = new URL(url);
  const request = protocol === "https:" ? overHttps : overHttp;
  const sent = request({
    host: hostname,
    port,
    servername: hostname,
    ...at,
    method,
    path: pathname + search,
    headers: { Host: host, ...headers },
    agent: false,
  });
  sent.end(body);
  const [response] = await once(sent, "response", { signal: AbortSignal.timeout(20_000) });
  let text = "";
  for await (const piece of response.setEncoding("utf8")) text += piece;
  return { status: response.statusCode, headers: response.headers, text, json: parsed(text) };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
