// Everything that a page can do to ask a server for something. Run in the page: nothing here may refer to the outside.

/** Tries each way once; returns, by its name, what the page got to see. */
export async function attempt(url) {
  const PATIENCE = 5000;
  const seen = {};
  const look = async (name, ask) => {
    const late = new Promise((resolve) => setTimeout(() => resolve("nothing came"), PATIENCE));
    try {
      seen[name] = await Promise.race([ask(), late]);
    } catch (error) {
      seen[name] = `${error.name}`;
    }
  };
  /** All that a page can learn of an answer. */
  const read = async (response) => {
    const headers = [...response.headers].map((pair) => pair.join(": "));
    return `${response.type} ${response.status} ${headers.join("; ")} ${await response.text()}`.trim();
  };
  const marked = (name) => `${url}?ttl=3600&way=${encodeURIComponent(name)}`;
  const get = (name, options) => look(name, async () => read(await fetch(marked(name), options)));

  for (const mode of ["cors", "no-cors", "same-origin"]) {
    for (const credentials of ["omit", "same-origin", "include"]) {
      await get(`fetch ${mode} ${credentials}`, { mode, credentials });
    }
  }
  await get("fetch navigate", { mode: "navigate" });
  await get("fetch HEAD", { method: "HEAD" });
  await get("fetch with a key", { headers: { "X-API-Key": "tp_guess" } });
  await get("fetch with a token", { headers: { Authorization: "Bearer guess" } });
  await get("fetch without a referrer", { referrerPolicy: "no-referrer" });
  await get("fetch kept alive", { keepalive: true });
  await get("fetch from the cache", { cache: "force-cache" });
  await get("fetch without redirects", { redirect: "manual" });
  const door = url.replace("/getToken", "/oauth2/token");
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  for (const mode of ["cors", "no-cors"]) {
    await look(`post ${mode}`, async () => read(await fetch(door, { method: "POST", mode, body: form })));
  }
  const told = url.replace("/getToken", "/oauth2/revoke");
  for (const mode of ["cors", "no-cors"]) {
    await look(`report ${mode}`, async () => read(await fetch(told, { method: "POST", mode, body: new URLSearchParams({ token: "guess" }) })));
  }
  await look("beacon", async () => `queued: ${navigator.sendBeacon(door, form)}`);
  await look("XMLHttpRequest", () => {
    const request = new XMLHttpRequest();
    request.open("GET", marked("XMLHttpRequest"));
    request.withCredentials = true;
    return new Promise((resolve) => {
      request.onloadend = () => resolve(`${request.status} ${request.getAllResponseHeaders()} ${request.responseText}`.trim());
      request.send();
    });
  });
  await look("EventSource", () => {
    const source = new EventSource(marked("EventSource"));
    return new Promise((resolve) => {
      source.onmessage = ({ data }) => resolve(`message ${data}`);
      source.onerror = () => {
        source.close();
        resolve("error");
      };
    });
  });
  await look("WebSocket", () => {
    const socket = new WebSocket(marked("WebSocket").replace(/^http/, "ws"));
    return new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(`message ${data}`);
      socket.onopen = () => resolve("open");
      socket.onerror = () => resolve("error");
    });
  });

  const elements = {
    img: "src",
    script: "src",
    iframe: "src",
    embed: "src",
    object: "data",
    audio: "src",
    video: "src",
    track: "src",
    link: "href",
  };
  const globals = new Set(Object.keys(window));
  for (const [tag, attribute] of Object.entries(elements)) {
    for (const crossOrigin of [null, "use-credentials"]) {
      const name = `${tag} ${crossOrigin ?? "plain"}`;
      await look(name, () => {
        const element = document.createElement(tag);
        if (crossOrigin) element.setAttribute("crossorigin", crossOrigin);
        if (tag === "link") element.rel = "stylesheet";
        element.setAttribute(attribute, marked(name));
        const loaded = new Promise((resolve) => {
          element.onload = () => resolve(inside(element) ?? "load");
          element.onloadeddata = () => resolve("load");
          element.onerror = () => resolve("error");
        });
        document.body.append(element);
        return loaded;
      });
    }
  }
  await look("script as a module", () => import(marked("module")).then((module) => `module ${Object.keys(module)}`));
  await look("worker", () => {
    const source = `try { importScripts(${JSON.stringify(marked("worker"))}); postMessage(Object.keys(self).join()); }
      catch (error) { postMessage(error.name); }`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    return new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = () => resolve("error");
    });
  });
  await look("form into a frame", () => {
    const frame = Object.assign(document.createElement("iframe"), { name: "answer" });
    const sender = Object.assign(document.createElement("form"), { method: "POST", action: door, target: "answer" });
    sender.append(Object.assign(document.createElement("input"), { name: "grant_type", value: "client_credentials" }));
    document.body.append(frame, sender);
    const loaded = new Promise((resolve) => {
      frame.onload = () => resolve(inside(frame) ?? "load");
    });
    sender.submit();
    return loaded;
  });
  await look("what scripts left behind", async () => Object.keys(window).filter((name) => !globals.has(name) && !/^\d+$/.test(name)).join());
  return seen;

  /** What is in a frame, if the page may look. */
  function inside(frame) {
    try {
      return frame.contentDocument?.body ? `frame ${frame.contentDocument.body.textContent}` : undefined;
    } catch (error) {
      return error.name;
    }
  }
}
