// format.js - numbers, times and words as people read them.

export const stages = ["waiting", "preparing", "analyzing", "generating", "checking", "applying", "pushing", "pull_request"];
const word = name => name[0].toUpperCase() + name.slice(1).replace("_", " ");
export const statusWords = Object.fromEntries(["queued", "running", "completed", "failed", "needs_review", "needs_clarification", "cancelled"].map(s => [s, s === "needs_clarification" ? "Has a question" : word(s)]));
export const stageWords = Object.fromEntries(stages.map(s => [s, word(s)]));

export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  ms = Math.max(0, ms);
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 10000) return (ms / 1000).toFixed(1) + " s";
  const s = Math.round(ms / 1000);
  if (s < 60) return s + " s";
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(m / 60)} h ${String(m % 60).padStart(2, "0")} min`;
}

// A ticking one: whole seconds, so that it does not flicker.
export const ticking = ms => ms < 60000 ? Math.max(0, Math.floor(ms / 1000)) + " s" : duration(ms);

export const number = n => n === null || n === undefined ? "–" : n.toLocaleString("en");
export const money = usd => usd === null || usd === undefined ? "–" : "$" + usd.toFixed(usd > 0 && usd < 1 ? 4 : 2);
export const percent = x => x === null || x === undefined ? "–" : (100 * x).toFixed(x === 1 || x === 0 ? 0 : 1) + " %";
export const exact = at => at ? new Date(at).toLocaleString() : "–";
export const plural = (n, one, many = one + "s") => `${number(n)} ${n === 1 ? one : many}`;

export function ago(at) {
  if (!at) return "–";
  const s = Math.round((Date.now() - Date.parse(at)) / 1000);
  if (s < 5) return "just now";
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  if (s < 86400 * 14) return plural(Math.floor(s / 86400), "day") + " ago";
  return new Date(at).toLocaleDateString();
}

export const waited = task => task.executedAt ? (task.startedAt ? Date.parse(task.startedAt) : task.finishedAt ? Date.parse(task.finishedAt) : Date.now()) - Date.parse(task.executedAt) : null;
export const ran = task => task.startedAt ? (task.finishedAt ? Date.parse(task.finishedAt) : Date.now()) - Date.parse(task.startedAt) : null;

export const repositoryName = r => r.name || r.url.replace(/^.*?([^/]+\/[^/]+?)(\.git)?$/, "$1");
