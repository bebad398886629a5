// The demo: gets a token from this server and uses it at the sandbox's data service.
const sandbox = document.querySelector("meta[name=sandbox-origin]").content;
const show = (id, text) => { document.getElementById(id).textContent = text; };
let requests = 0;
let expiresAt = 0;

async function token() {
  const answer = await fetch("/getToken?ttl=3600");
  if (!answer.ok) throw new Error((await answer.json()).error_description);
  expiresAt = performance.now() + 1000 * Number(answer.headers.get("Token-Expires-In"));
  return answer.text();
}

async function hello() {
  const field = document.getElementById("hello");
  try {
    const bearer = await token();
    // Never the whole token on a screen: screens are shared.
    show("token", `${bearer.slice(0, 12)}… (${bearer.length} characters)`);
    const answer = await fetch(`${sandbox}/hello`, { headers: { Authorization: `Bearer ${bearer}` } });
    show("requests", String(++requests));
    field.className = answer.ok ? "" : "bad";
    field.textContent = answer.ok ? (await answer.json()).greeting : `refused (${answer.status})`;
  } catch (error) {
    field.className = "bad";
    field.textContent = error.message;
  }
}

function countDown() {
  const left = Math.max(0, Math.round((expiresAt - performance.now()) / 1000));
  const two = (n) => String(n).padStart(2, "0");
  show("left", expiresAt === 0 ? "…" : `${Math.floor(left / 60)}:${two(left % 60)} min`);
}

show("origin", location.origin);
document.getElementById("again").addEventListener("click", hello);
setInterval(countDown, 1000);
await hello();
countDown();
