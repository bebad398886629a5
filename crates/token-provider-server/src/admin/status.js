// Shows what /status says, and asks again every two seconds. All text goes in as text: callers choose some of it.

const EVERY = 2000;
const PATIENCE = 5000;
const CIRCLE = 2 * Math.PI * 42;
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

/** Makes an element: `attributes`, then what is in it. */
function make(name, attributes = {}, ...content) {
  const node = document.createElement(name);
  return fill(node, attributes, content);
}

function draw(name, attributes = {}, ...content) {
  const node = document.createElementNS(SVG, name);
  return fill(node, attributes, content);
}

function fill(node, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...content.filter((part) => part !== undefined));
  return node;
}

/** Replaces what is in an element, unless it was made from the same data before. */
const shown = new Map();
function show(id, data, build) {
  const text = JSON.stringify(data);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  $(id).replaceChildren(...build(data));
}

// --- words and numbers

const two = (number) => String(number).padStart(2, "0");

/** 59 s, 9:05, 3:25:00 */
function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours > 0) return `${hours}:${two(minutes)}:${two(rest)}`;
  return minutes > 0 ? `${minutes}:${two(rest)}` : `${rest} s`;
}

/** 45 s, 5 min, 2 h, 3 d 4 h: for what is read once. */
function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const parts = [];
  let rest = Math.max(0, Math.floor(seconds));
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const mebibytes = (bytes) => `${(bytes / 1048576).toLocaleString("en", { maximumFractionDigits: 1 })} MiB`;
const time = (text) => new Date(text).toLocaleTimeString("en-GB");
const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

// --- parts of the page

const OUTCOMES = {
  handed_out: ["handed out", "good"],
  refused: ["refused", "due"],
  failed: ["no token", "bad"],
  reported: ["reported", "due"],
};

function outcome(event) {
  const [word, tone] = OUTCOMES[event.outcome] ?? [event.outcome, "bad"];
  // The rule, and what about it: `authenticate: the token has expired`.
  const why = [event.rule ?? event.error, event.reason].filter(Boolean).join(": ");
  return make("span", { class: tone }, event.outcome === "handed_out" || !why ? word : `${word}: ${why}`);
}

/** Text in which what stands between backticks is code. */
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? make("code", {}, part) : part));
}

function recentRow(event) {
  const from = event.origin ?? event.address ?? "";
  const cells = [
    make("td", { title: event.time }, time(event.time)),
    make("td", {}, outcome(event)),
    make("td", { class: "cut", title: event.caller }, event.caller ?? "", event.caller ? " " : "", make("span", { class: "soft" }, (event.method ?? "").replace("_", " "))),
    make("td", { class: "cut", title: [event.origin, event.address].filter(Boolean).join(", ") }, from),
    make("td", {}, event.profile ?? ""),
    make("td", { class: "number" }, event.lifetime === undefined ? "" : span(event.lifetime)),
    make("td", { class: "number" }, event.seconds_left === undefined ? "" : clock(event.seconds_left)),
    make("td", { class: "mono" }, event.fingerprint ?? ""),
    make("td", { class: "mono cut", title: event.request_id }, (event.request_id ?? "").slice(0, 12)),
  ];
  return make("tr", {}, ...cells);
}

function outputRow({ path, up, seconds_left: left, fingerprint }) {
  const cells = [
    make("td", { class: "cut", title: path }, path),
    make("td", { class: up ? "good" : "bad" }, up ? "fresh" : left === undefined ? "no file" : "failing"),
    make("td", { class: "number" }, left === undefined ? "" : clock(left)),
    make("td", { class: "mono" }, fingerprint ?? ""),
  ];
  return make("tr", {}, ...cells);
}

/** The rings, by profile, scope and lifetime; they stay, and count down between two answers. */
const rings = new Map();

function ring() {
  const left = draw("circle", { class: "left", cx: 50, cy: 50, r: 42, transform: "rotate(-90 50 50)", "stroke-dasharray": CIRCLE });
  const text = draw("text", { x: 50, y: 51 });
  const picture = draw("svg", { class: "ring", viewBox: "0 0 100 100", role: "img" }, draw("circle", { class: "track", cx: 50, cy: 50, r: 42 }), left, text);
  const [scope, state, detail] = [make("p", { class: "mono" }), make("p"), make("p", { class: "soft" })];
  const tile = make("li", { class: "tile" }, picture, make("div", {}, scope, state, detail));
  return { tile, picture, left, text, scope, state, detail, token: undefined, at: 0 };
}

const TONES = { fresh: "good", due: "due", none: "bad" };
const STATES = { fresh: "fresh", due: "being refreshed", none: "none held" };

function tick() {
  for (const one of rings.values()) {
    const { token } = one;
    const passed = paused ? 0 : (performance.now() - one.at) / 1000;
    const seconds = token.state === "none" ? 0 : Math.max(0, token.seconds_left - passed);
    const share = Math.min(1, seconds / token.lifetime);
    one.left.setAttribute("stroke-dashoffset", String(CIRCLE * (1 - share)));
    one.left.setAttribute("visibility", share > 0 ? "visible" : "hidden");
    one.text.textContent = token.state === "none" ? "–" : clock(seconds);
    one.text.setAttribute("font-size", seconds >= 36000 ? "16" : "19");
    one.picture.setAttribute("class", `ring ${TONES[token.state]}`);
    one.picture.setAttribute("aria-label", token.state === "none" ? "no token held" : `${span(seconds)} left of ${span(token.lifetime)}`);
  }
}

function showProfiles(profiles) {
  const known = new Set();
  for (const profile of profiles) {
    for (const token of profile.tokens) {
      const key = JSON.stringify([profile.name, token.scope, token.lifetime]);
      known.add(key);
      const one = rings.get(key) ?? ring();
      rings.set(key, one);
      Object.assign(one, { token, at: performance.now() });
      one.scope.textContent = token.scope ?? "";
      one.scope.hidden = token.scope === undefined;
      one.state.className = TONES[token.state];
      one.state.textContent = `${span(token.lifetime)}, ${STATES[token.state]}`;
      const troubles = token.failures > 0 ? `${token.failures} failed; ${token.retry_in_seconds === undefined ? "trying again" : `next attempt in ${clock(token.retry_in_seconds)}`}` : "";
      one.detail.textContent = troubles || (token.fingerprint ? `token ${token.fingerprint}` : "requested");
    }
  }
  for (const key of [...rings.keys()].filter((key) => !known.has(key))) rings.delete(key);
  // The frame anew only when there is another set of tokens.
  const frame = profiles.map(({ name, default: usual, issuer, credential, clock_offset_seconds: offset, tokens }) => ({
    name, usual, issuer, key: credential?.kid ?? credential?.thumbprint, offset, tokens: tokens.map(({ scope, lifetime }) => JSON.stringify([name, scope, lifetime])),
  }));
  show("profiles", frame, (list) =>
    list.map(({ name, usual, issuer, key, offset, tokens }) =>
      make(
        "div",
        { class: "panel" },
        make(
          "div",
          { class: "profile-head" },
          make("h3", {}, name),
          make("p", { class: "soft" }, [usual ? "default profile" : undefined, issuer, key && `private key ${key}`].filter(Boolean).join(" · ")),
          offset ? make("p", { class: "due" }, `this machine's clock is off by ${span(Math.abs(offset))}`) : undefined,
        ),
        tokens.length > 0
          ? make("ul", { class: "tiles" }, ...tokens.map((key) => rings.get(key).tile))
          : make("p", { class: "soft" }, "No token held: none was requested recently."),
      ),
    ),
  );
  tick();
}

function troubles(status) {
  const list = [];
  for (const profile of status.profiles) {
    if (profile.rotation_problem) {
      list.push({ title: `Profile ${profile.name}: the credential in its file is not in use`, what: profile.rotation_problem, remedy: "Fix or replace the credential file; it is reloaded automatically. The credential now in use is lost on restart." });
    }
    for (const token of profile.tokens) {
      if (!token.last_error) continue;
      const left = token.state === "none" ? "no token held" : `the held token is valid for another ${span(token.seconds_left)}`;
      const { message, error_id: id, correlation_id: correlation } = token.last_error;
      const ids = [id && `error id ${id}`, correlation && `correlation id ${correlation}`].filter(Boolean).join(", ");
      list.push({ title: `Profile ${profile.name}, ${span(token.lifetime)}: ${left}`, what: message, remedy: ids && `For HERE's support: ${ids}.` });
    }
  }
  for (const { path, up, problem } of status.outputs) {
    if (!up) list.push({ title: `Output ${path}`, what: problem ?? "no token has been written yet" });
  }
  for (const { name, up, problem } of status.identity_providers) {
    if (!up) list.push({ title: `Identity provider ${name}: no new keys`, what: problem, remedy: "Keys that were received before are used for 24 h." });
  }
  if (status.store && !status.store.up) {
    list.push({ title: "The store cannot be used", what: status.store.problem, remedy: "Tokens are handed out as without it, and would be lost on restart. The server tries again every 5 s." });
  }
  const { file, problems, secret_problems: secrets, locked, waiting_for_restart: waiting } = status.configuration;
  if (problems.length > 0) {
    list.push({ title: `The changed configuration is not used: ${file}`, what: problems.join("; "), remedy: "Fix the file; it is reloaded automatically." });
  }
  if (secrets.length > 0) {
    list.push({ title: "The secret of an access key, or a key of the store, is not the one in its file", what: secrets.join("; "), remedy: "Fix or replace the file; it is read again automatically. The previous secret is lost on restart." });
  }
  if (locked) {
    list.push({ title: "Everyone is refused", what: "The changed configuration has no access rule.", remedy: "Add an access rule to the file, or set access.anonymous = true to allow everyone." });
  }
  if (waiting.length > 0) {
    list.push({ title: "Configuration changes that need a restart", what: waiting.join(", "), remedy: "Restart the server." });
  }
  const lost = sum(status.audit?.lines_lost ?? {});
  if (lost > 0) {
    list.push({ title: `${number.format(lost)} audit lines lost since the start`, what: Object.entries(status.audit.lines_lost).filter(([, count]) => count > 0).map(([reason, count]) => `${reason.replace("_", " ")}: ${number.format(count)}`).join(", "), remedy: "Free up disk space, or move the audit file to another disk." });
  }
  return list;
}

function figures(status) {
  const { process, audit, refusals, profiles } = status;
  const handouts = profiles.reduce((total, { handouts: { held, waited } }) => total + held + waited, 0);
  const requests = profiles.reduce((total, { issuer_requests: ended }) => total + sum(ended), 0);
  const failed = profiles.reduce((total, { issuer_requests: ended }) => total + sum(ended) - (ended.issued ?? 0), 0);
  const refused = Object.entries(refusals).filter(([, count]) => count > 0);
  return [
    ["Tokens handed out", number.format(handouts)],
    ["Requests to the issuer", failed > 0 ? `${number.format(requests)}, ${number.format(failed)} failed` : number.format(requests)],
    ["Refused", refused.length > 0 ? refused.map(([rule, count]) => `${rule} ${number.format(count)}`).join(", ") : "0"],
    ["Connections open", number.format(status.connections_open)],
    audit && ["Audit lines written", number.format(audit.lines_written)],
    ...status.identity_providers.map(({ name, up }) => [`Identity provider ${name}`, up ? "up" : "down"]),
    status.store && ["Store", `${status.store.up ? "up" : "down"}${sum(status.store.rejected) > 0 ? `, ${number.format(sum(status.store.rejected))} records rejected` : ""}`],
    process && ["Memory", mebibytes(process.resident_memory_bytes)],
    process && ["Processor time", `${process.cpu_seconds.toFixed(1)} s`],
    process && ["Open files", process.max_files ? `${number.format(process.open_files)} of ${number.format(process.max_files)}` : number.format(process.open_files)],
    status.started_at && ["Started", new Date(status.started_at).toLocaleString("en-GB")],
    status.certificate_expires_at && ["Certificate expires", new Date(status.certificate_expires_at).toLocaleString("en-GB")],
  ].filter(Boolean);
}

function render(status) {
  $("version").textContent = `version ${status.version}${status.uptime_seconds === undefined ? "" : `, up for ${span(status.uptime_seconds)}`}`;
  // Only when it changes, so that it is read out only then.
  const ready = status.ready ? "✓ Ready" : "✕ Not ready";
  if ($("ready").textContent !== ready) $("ready").textContent = ready;
  $("ready").className = `pill ${status.ready ? "good" : "bad"}`;
  document.title = `${status.ready ? "" : "Not ready: "}token-provider: status`;
  const wrong = troubles(status);
  $("troubles").hidden = wrong.length === 0;
  show("trouble-list", wrong, (list) =>
    list.map(({ title, what, remedy }) => make("div", { class: "panel trouble" }, make("h3", {}, title), make("p", {}, ...withCode(what ?? "")), remedy ? make("p", { class: "due" }, ...withCode(remedy)) : undefined)),
  );
  showProfiles(status.profiles);
  $("outputs-section").hidden = status.outputs.length === 0;
  show("outputs", status.outputs, (list) => list.map(outputRow));
  $("none").hidden = status.recent.length > 0;
  show("recent", status.recent, (list) => list.map(recentRow));
  show("figures", figures(status), (list) => list.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

// --- asking again and again

let paused = false;
let seenAt;

async function ask() {
  try {
    const answer = await fetch("/status", { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    render(await answer.json());
    seenAt = new Date();
    $("seen").textContent = `as of ${seenAt.toLocaleTimeString("en-GB")}`;
    $("lost").hidden = true;
  } catch (error) {
    const since = seenAt ? ` The data below is from ${seenAt.toLocaleTimeString("en-GB")}.` : "";
    const message = `The server is not responding (${error.message}).${since}`;
    if ($("lost").textContent !== message) $("lost").textContent = message;
    $("lost").hidden = false;
  }
}

async function run() {
  for (;;) {
    if (!paused && document.visibilityState === "visible") await ask();
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Paused" : "Pause";
  if (!paused) void ask();
});
document.addEventListener("visibilitychange", () => {
  if (!paused && document.visibilityState === "visible") void ask();
});
setInterval(() => paused || tick(), 1000);
void run();
