// api.js - calls to this server. A failure is a Problem, whose message says what happened and what to do.

const BASE = "/api/v1";

export class Problem extends Error {
  constructor(status, doc) {
    super([doc.detail || doc.title || "The server answered " + status, doc.remedy].filter(Boolean).join(". "));
    this.status = status;
    this.code = doc.code;
    this.detail = doc.detail || doc.title || "The server answered " + status;
    this.remedy = doc.remedy;
    this.errors = doc.errors || [];
  }
}

let onSignedOut = () => {};
export const whenSignedOut = f => { onSignedOut = f; };

const pause = ms => new Promise(done => setTimeout(done, ms));

async function send(method, path, body, signal) {
  const options = { method, headers: {}, credentials: "same-origin", signal };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  // A repeated click or a repeated try is the same request to the server.
  if (method === "POST" && path !== "/session") options.headers["Idempotency-Key"] = key();
  for (let tries = 0; ; tries++) {
    let answer;
    try {
      answer = await fetch(BASE + path, options);
    } catch (e) {
      if (e.name === "AbortError") throw e;
      throw new Problem(0, { title: "The server cannot be reached", remedy: "Is the network up? The page tries again when you do" });
    }
    if (answer.status === 429 && tries < 5) {
      await pause(1000 * Math.min(30, Number(answer.headers.get("Retry-After")) || 1));
      continue;
    }
    if (answer.ok) return answer;
    if (answer.status === 401 && path !== "/session") onSignedOut();
    const text = await answer.text();
    let doc;
    try { doc = JSON.parse(text); } catch { doc = { detail: text.slice(0, 300) }; }
    throw new Problem(answer.status, doc);
  }
}

// randomUUID needs a secure context; a server in a private network is often reached without TLS.
function key() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(b => b.toString(16).padStart(2, "0")).join("");
}

export async function call(method, path, body, signal) {
  const text = await (await send(method, path, body, signal)).text();
  return text ? JSON.parse(text) : {};
}

export const get = (path, signal) => call("GET", path, undefined, signal);
export const post = (path, body) => call("POST", path, body ?? {});
export const patch = (path, body) => call("PATCH", path, body);
export const remove = path => call("DELETE", path);
export const text = async (path, signal) => (await send("GET", path, undefined, signal)).text();
export const address = path => BASE + path;

// All pages of a list, at most `max` items.
export async function all(path, max = 1000) {
  const items = [];
  for (let cursor = null; items.length < max;) {
    const page = await get(path + (path.includes("?") ? "&" : "?") + "limit=200" + (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""));
    items.push(...page.items);
    cursor = page.nextCursor;
    if (!cursor) break;
  }
  return items;
}
