// What HERE's C++ SDK sends, written again after its sources (heremaps/here-data-sdk-cpp 1.24.0), which no registry has built.

import { createHmac, randomUUID } from "node:crypto";

import { send } from "./http.mjs";
import { percent } from "./java.mjs";

const MAX_ATTEMPTS = 3;

/** GenerateAuthorizationHeader: parameters in a fixed order and joined raw; a comma without a blank. */
export function authorization({ url, id, secret, timestamp, nonce }) {
  const text = `oauth_consumer_key=${id}&oauth_nonce=${nonce}&oauth_signature_method=HMAC-SHA256&oauth_timestamp=${timestamp}&oauth_version=1.0`;
  const signature = createHmac("sha256", `${secret}&`).update(`POST&${percent(url)}&${percent(text)}`).digest("base64");
  return (
    `OAuth oauth_consumer_key="${percent(id)}",oauth_nonce="${percent(nonce)}",oauth_signature_method="HMAC-SHA256",` +
    `oauth_timestamp="${timestamp}",oauth_version="1.0",oauth_signature="${percent(signature)}"`
  );
}

/** TokenEndpointImpl: `requests` tells what it sent, and what came. */
export class CppClient {
  constructor({ url, id, secret, clock = () => Date.now() / 1000, useSystemTime = true, at }) {
    // It takes the first `/oauth2/token` out, and puts it behind what is left.
    this.base = url.replace("/oauth2/token", "");
    Object.assign(this, { id, secret, clock, useSystemTime, at });
    this.requests = [];
  }

  async send(method, path, headers, body) {
    const answer = await send({ method, url: this.base + path, headers, body, at: this.at });
    this.requests.push([method, path, answer.status]);
    return answer;
  }

  /** SignInClient: at most three attempts, each with a nonce of its own; a wrong clock is set by the answer's `Date`. */
  async token({ expiresIn, scope, deviceId } = {}) {
    let now = this.useSystemTime ? this.clock : await this.serverTime();
    const body = JSON.stringify({ grantType: "client_credentials", expiresIn, scope, deviceId });
    for (let attempt = 1; ; attempt++) {
      const timestamp = Math.floor(now());
      const signature = authorization({ ...this, url: `${this.base}/oauth2/token`, timestamp, nonce: randomUUID() });
      const headers = { Authorization: signature, "Content-Type": "application/json", "User-Agent": "OLP-CPP-SDK/1.24.0 (Linux)" };
      const answer = await this.send("POST", "/oauth2/token", headers, body);
      if (answer.status !== 401 || answer.json.errorCode !== 401204 || attempt === MAX_ATTEMPTS) return answer;
      const time = parseDate(answer.headers.date);
      if (time === undefined) return answer;
      now = since(time);
    }
  }

  /** With `use_system_time = false`: the server's time before each token, or else the system's. */
  async serverTime() {
    const answer = await this.send("GET", "/timestamp", {});
    return answer.status === 200 && Number.isInteger(answer.json.timestamp) ? since(answer.json.timestamp) : this.clock;
  }
}

/** A clock that starts at this time, and goes on as the steady one does. */
function since(time) {
  const start = performance.now();
  return () => time + (performance.now() - start) / 1000;
}

/** Its RFC 1123 parser, which takes nothing but `GMT`. */
function parseDate(text) {
  const isDate = /^[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text ?? "");
  return isDate ? Date.parse(text) / 1000 : undefined;
}
