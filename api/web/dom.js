// dom.js - elements without markup: text is always text.

export function h(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (name === "class") e.className = value;
    else if (name in e && name !== "list" && name !== "form") e[name] = value;
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat().filter(c => c !== null && c !== undefined && c !== false));
  return e;
}

const icons = { queued: "◌", running: "▶", completed: "✔", failed: "✖", needs_review: "⚠", needs_clarification: "?", cancelled: "⊘" };
const words = { queued: "Queued", running: "Running", completed: "Completed", failed: "Failed", needs_review: "Needs review", needs_clarification: "Has a question", cancelled: "Cancelled" };
export const statusWords = words;

export function status(task) {
  const stage = task.status === "running" && task.stage ? " · " + task.stage.replace("_", " ") : "";
  return h("span", { class: "status s-" + task.status }, h("span", { "aria-hidden": "true" }, icons[task.status] + " "), words[task.status] + stage);
}

export function duration(ms) {
  if (ms === null || ms === undefined || ms < 0) return "–";
  if (ms < 10000) return (ms / 1000).toFixed(1) + " s";
  const s = Math.round(ms / 1000);
  if (s < 60) return s + " s";
  const m = Math.floor(s / 60);
  return m < 60 ? `${m} min ${s % 60} s` : `${Math.floor(m / 60)} h ${m % 60} min`;
}

export const time = text => text ? new Date(text).toLocaleString() : "–";
export const number = n => n === null || n === undefined ? "–" : n.toLocaleString();
export const money = usd => usd === null || usd === undefined ? "–" : "$" + usd.toFixed(usd > 0 && usd < 1 ? 4 : 2);

// Time a task has run, or waits: what a person wants to see ticking.
export function elapsed(task) {
  const from = task.startedAt || task.executedAt;
  if (!from) return null;
  return (task.finishedAt ? Date.parse(task.finishedAt) : Date.now()) - Date.parse(from);
}

export function notice(text) {
  const box = h("div", null, text);
  document.getElementById("notice").append(box);
  setTimeout(() => box.remove(), 8000);
}

export function facts(rows) {
  return h("dl", { class: "facts" }, rows.filter(r => r).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value === null || value === undefined || value === "" ? "–" : value))));
}
