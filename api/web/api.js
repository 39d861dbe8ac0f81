// api.js - calls to this server. Failures are Error objects that say what happened and what to do.

export class Problem extends Error {
  constructor(status, doc) {
    super([doc.detail || doc.title || "The server answered " + status, doc.remedy].filter(Boolean).join(". "));
    this.status = status;
    this.code = doc.code;
    this.errors = doc.errors || [];
  }
}

let onSignedOut = () => {};
export function whenSignedOut(f) { onSignedOut = f; }

export async function call(method, path, body) {
  const options = { method, headers: {}, credentials: "same-origin" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  if (method === "POST" && path !== "/session") options.headers["Idempotency-Key"] = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()) + Date.now();
  const answer = await fetch("/api/v1" + path, options);
  const text = await answer.text();
  let doc = {};
  try { doc = text ? JSON.parse(text) : {}; } catch { doc = { detail: text.slice(0, 300) }; }
  if (answer.status === 401 && path !== "/session") onSignedOut();
  if (!answer.ok) throw new Problem(answer.status, doc);
  return doc;
}

export const get = path => call("GET", path);
export const post = (path, body) => call("POST", path, body);

export async function text(path) {
  const answer = await fetch("/api/v1" + path, { credentials: "same-origin" });
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer.text();
}
