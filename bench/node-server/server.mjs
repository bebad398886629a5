// The token server that everybody writes in an afternoon: Express, HERE's SDK, the token in a variable.
//
//     node server.mjs CREDENTIALS-FILE TOKEN-URL PORT

import { loadCredentialsFromFile, requestToken } from "@here/olp-sdk-authentication";
import express from "express";

const [credentialsFile, url, port] = process.argv.slice(2);
const { accessKeyId, accessKeySecret } = loadCredentialsFromFile(credentialsFile);

/** Stops using a token this long before it ends. */
const MARGIN_MS = 10_000;

let token;
let usableUntil = 0;

async function currentToken(expiresIn) {
  if (Date.now() >= usableUntil) {
    const answer = await requestToken({ url, consumerKey: accessKeyId, secretKey: accessKeySecret, expiresIn });
    token = answer.accessToken;
    usableUntil = Date.now() + answer.expiresIn * 1000 - MARGIN_MS;
  }
  return token;
}

const app = express();

app.get("/getToken", async (request, response) => {
  response.set("Access-Control-Allow-Origin", "*");
  response.type("text/plain").send(await currentToken(Number(request.query.ttl ?? 3600)));
});

const server = app.listen(Number(port), "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
