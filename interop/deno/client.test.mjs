// The built client package in Deno, against Deno's own server on loopback.

import { createTokenClient, TokenError } from "../../clients/typescript/dist/index.js";

const client = new URL("../../clients/typescript/dist/index.js", import.meta.url);

const equal = (actual, expected) => {
  const [one, other] = [actual, expected].map((value) => JSON.stringify(value));
  if (one !== other) throw new Error(`${one}, expected ${other}`);
};

/** A server on a free port for the time of a test. */
async function serving(answer, use) {
  const asked = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    asked.push(request);
    return answer(request);
  });
  try {
    return await use(`http://127.0.0.1:${server.addr.port}`, asked);
  } finally {
    await server.shutdown();
  }
}

/** The client's timer for the refresh in an hour is meant to outlive the test. */
const test = (name, run) => Deno.test({ name, fn: run, sanitizeOps: false, sanitizeResources: false });

test("many data requests cost one token request, and a refused token is replaced", async () => {
  let current = 1;
  const token = () => new Response(`token-${current}`, { headers: { "Token-Expires-In": "3600" } });
  const data = (request) => {
    const authorization = request.headers.get("authorization");
    return new Response(authorization, { status: authorization === `Bearer token-${current}` ? 200 : 401 });
  };
  const answer = (request) => (new URL(request.url).pathname === "/getToken" ? token() : data(request));
  await serving(answer, async (origin) => {
    const tokens = createTokenClient(`${origin}/getToken`, { ttl: 3600 });
    const bodies = await Promise.all(
      Array.from({ length: 50 }, async (_, tile) => (await tokens.fetch(`${origin}/${tile}`)).text()),
    );
    equal([...new Set(bodies)], ["Bearer token-1"]);
    equal(tokens.status().requests, 1);

    current = 2;
    const response = await tokens.fetch(new Request(`${origin}/tile`));
    equal([response.status, await response.text(), tokens.status().requests], [200, "Bearer token-2", 2]);
  });
});

test("errors are typed", async () => {
  const answer = () => Response.json({ error: "access_denied", request_id: "r-7" }, { status: 403 });
  await serving(answer, async (origin) => {
    const error = await createTokenClient(origin).getToken().catch((reason) => reason);
    equal([error instanceof TokenError, error.code, error.status, error.requestId], [true, "access_denied", 403, "r-7"]);
  });
});

test("a script ends although a refresh is due in an hour", async () => {
  await serving(() => new Response("token-1", { headers: { "Token-Expires-In": "3600" } }), async (origin) => {
    const script = `
      import { createTokenClient } from ${JSON.stringify(client.href)};
      console.log(await createTokenClient(${JSON.stringify(origin)}).authHeader());
    `;
    const args = ["eval", script];
    const signal = AbortSignal.timeout(20_000);
    const { success, stdout } = await new Deno.Command(Deno.execPath(), { args, signal, stderr: "inherit" }).output();
    equal([success, new TextDecoder().decode(stdout)], [true, "Bearer token-1\n"]);
  });
});
