// What HERE's Java SDK sends, written again after its sources (heremaps/here-aaa-java-sdk 0.4.33), as there is no JVM package of it
// in a registry that the tests may use. That it signs alike is shown with the vectors of the SDK's own tests.

import { createHmac, randomBytes } from "node:crypto";

import { send } from "./http.mjs";

/** RFC 3986: what is not unreserved. (`encodeURIComponent` leaves five more as they are.) */
export const percent = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** The header of its OAuth1Signer: the query and every field of a form are signed; a comma and a blank between the parameters. */
export function authorization({ method = "POST", url, id, secret, form = [], query = [], timestamp, nonce }) {
  const [address, inUrl] = url.split("?");
  const parameters = [
    ...form,
    ...query,
    ...(inUrl === undefined ? [] : [...new URLSearchParams(inUrl)]),
    ["oauth_consumer_key", id],
    ["oauth_nonce", nonce],
    ["oauth_signature_method", "HMAC-SHA256"],
    ["oauth_timestamp", String(timestamp)],
    ["oauth_version", "1.0"],
  ].map(([name, value]) => [percent(name), percent(value)]);
  const byNameAndValue = (a, b) => (a[0] === b[0] ? compare(a[1], b[1]) : compare(a[0], b[0]));
  const text = parameters.sort(byNameAndValue).map((pair) => pair.join("=")).join("&");
  const base = [method, percent(withoutDefaultPort(address)), percent(text)].join("&");
  const signature = createHmac("sha256", `${percent(secret)}&`).update(base).digest("base64");
  const fields = {
    oauth_consumer_key: id,
    oauth_signature_method: "HMAC-SHA256",
    oauth_signature: signature,
    oauth_timestamp: timestamp,
    oauth_nonce: nonce,
    oauth_version: "1.0",
  };
  return `OAuth ${Object.entries(fields).map(([name, value]) => `${name}="${percent(value)}"`).join(", ")}`;
}

const compare = (a, b) => (a < b ? -1 : Number(a > b));

/** SignatureCalculator: only in front of a slash. */
function withoutDefaultPort(url) {
  return url.replace(/^(https:\/\/[^/]*):443(?=\/)/, "$1").replace(/^(http:\/\/[^/]*):80(?=\/)/, "$1");
}

/** Six characters of base64url. */
export const nonce = () => randomBytes(6).toString("base64url").slice(0, 6);

/** HereAccount's TokenEndpoint, with what it does when its clock is wrong. `requests` tells what it sent, and what came. */
export class JavaClient {
  constructor({ url, id, secret, clock = () => Date.now() / 1000, at, headers = {} }) {
    Object.assign(this, { url, id, secret, clock, at, headers });
    this.offset = 0;
    this.requests = [];
  }

  /** A request, signed and not sent yet: the SDK sends the same one again after a 5xx. */
  signed(fields = {}) {
    const form = Object.entries({ grant_type: "client_credentials", ...fields });
    const timestamp = Math.floor(this.clock() + this.offset);
    const signature = authorization({ ...this, form, timestamp, nonce: nonce() });
    const headers = { Authorization: signature, "Content-Type": "application/x-www-form-urlencoded", ...this.headers };
    // A blank is `+` in the body, and %20 in the signature.
    return { method: "POST", url: this.url, headers, body: String(new URLSearchParams(form)), at: this.at };
  }

  async send(request) {
    const answer = await send(request);
    this.requests.push([request.method, new URL(request.url).pathname, answer.status]);
    return answer;
  }

  /** HereAccount.requestTokenHttp and handleFixableErrors: the time of `<prefix>/timestamp`, kept, and once more. */
  async token(fields, retries = 1) {
    const answer = await this.send(this.signed(fields));
    const canFix = retries > 0 && answer.status === 401 && answer.json.errorCode === 401204 && this.url.endsWith("/oauth2/token");
    if (!canFix) return answer;
    const url = this.url.replace(/\/oauth2\/token$/, "/timestamp");
    const time = await this.send({ method: "GET", url, headers: {}, at: this.at });
    if (time.status !== 200 || !Number.isInteger(time.json.timestamp)) return answer;
    this.offset = time.json.timestamp - this.clock();
    return this.token(fields, retries - 1);
  }
}
