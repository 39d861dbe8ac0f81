// list.js - the task list, live.
import { duration, elapsed, h, money, notice, status, statusWords, time } from "./dom.js";
import { get, post } from "./api.js";

export async function taskList(main, { go }) {
  document.title = "Tasks · Pithy Jaunt";
  const filter = new URLSearchParams(location.search);
  const repositories = (await get("/repositories?limit=200")).items;
  const names = new Map(repositories.map(r => [r.id, r.name]));
  const tasks = new Map(), rows = new Map(), chosen = new Set();
  let cursor = null;

  const change = (name, value) => {
    const next = new URLSearchParams(location.search);
    value ? next.set(name, value) : next.delete(name);
    go("/" + (next.size ? "?" + next : ""));
  };
  const select = (name, label, options) => h("select", { "aria-label": label, onchange: e => change(name, e.target.value) },
    h("option", { value: "" }, label + ": all"),
    options.map(([value, word]) => h("option", { value, selected: filter.get(name) === value }, word)));
  const search = h("input", { type: "search", class: "grow", placeholder: "Search title and description", "aria-label": "Search", value: filter.get("q") || "",
    onchange: e => change("q", e.target.value.trim()) });

  const body = h("tbody");
  const more = h("button", { onclick: load, hidden: true }, "Older tasks");
  const bulk = async (verb, done) => {
    const results = await Promise.allSettled([...chosen].map(id => post(`/tasks/${id}/${verb}`, verb === "retry" ? { execute: true } : {})));
    const failed = results.filter(r => r.status === "rejected");
    notice(`${done}: ${results.length - failed.length}.` + (failed.length ? ` Refused: ${failed.length} (${failed[0].reason.message})` : ""));
    chosen.clear();
    body.querySelectorAll("input").forEach(i => { i.checked = false; });
    buttons();
  };
  const cancel = h("button", { onclick: () => bulk("cancel", "Cancelled") }, "Cancel chosen");
  const retry = h("button", { onclick: () => bulk("retry", "Started again") }, "Retry chosen");
  const buttons = () => { cancel.disabled = retry.disabled = chosen.size === 0; };
  buttons();

  function row(task) {
    const cells = [
      h("td", null, h("input", { type: "checkbox", "aria-label": "Choose " + task.title, checked: chosen.has(task.id), onchange: e => { e.target.checked ? chosen.add(task.id) : chosen.delete(task.id); buttons(); } })),
      h("td", null, status(task)),
      h("td", null, h("a", { href: "/tasks/" + task.id }, task.title), task.attempt > 1 && h("span", { class: "soft" }, " · attempt " + task.attempt)),
      h("td", { class: "hide-small" }, names.get(task.repositoryId) || "–"),
      h("td", { class: "num" }, duration(elapsed(task))),
      h("td", { class: "num hide-small" }, money(task.usage.costUsd)),
      h("td", { class: "hide-small" }, time(task.createdAt)),
    ];
    const old = rows.get(task.id);
    if (old) { old.replaceChildren(...cells); return old; }
    const tr = h("tr", null, cells);
    rows.set(task.id, tr);
    return tr;
  }

  function empty() {
    if (tasks.size) return;
    body.replaceChildren(h("tr", null, h("td", { colSpan: 7 }, filter.size ? "No task fits." : h("span", null, "No task yet. ", h("a", { href: "/new" }, "Make the first one"), ", or type ", h("code", null, "pj run REPOSITORY \"title\" --follow"), "."))));
  }

  async function load() {
    const query = new URLSearchParams(filter);
    query.set("limit", "50");
    if (cursor) query.set("cursor", cursor);
    const page = await get("/tasks?" + query);
    for (const task of page.items) {
      tasks.set(task.id, task);
      body.append(row(task));
    }
    cursor = page.nextCursor;
    more.hidden = !cursor;
    empty();
  }

  main.replaceChildren(h("h1", null, "Tasks"),
    h("div", { class: "bar" }, select("status", "Status", Object.entries(statusWords)), select("repositoryId", "Repository", [...names]), search),
    h("div", { class: "bar" }, cancel, retry),
    h("div", { class: "wide" }, h("table", null, h("thead", null, h("tr", null, h("th", null, h("span", { class: "unseen" }, "Choose")), h("th", null, "Status"), h("th", { class: "title" }, "Title"), h("th", { class: "hide-small" }, "Repository"),
      h("th", { class: "num" }, "Time"), h("th", { class: "num hide-small" }, "Cost"), h("th", { class: "hide-small" }, "Made"))), body)),
    h("p", null, more));
  await load();

  // Rows change in place; a task that is new here goes to the top.
  async function refresh(id) {
    const task = await get("/tasks/" + id).catch(() => null);
    if (!task) return;
    const known = tasks.has(id);
    if (!known && filter.size) return;
    if (!tasks.size) body.replaceChildren();
    tasks.set(id, task);
    const tr = row(task);
    if (!known) body.prepend(tr);
  }
  const events = new EventSource("/api/v1/events");
  events.addEventListener("status", e => refresh(JSON.parse(e.data).id));
  events.addEventListener("reset", () => go(location.pathname + location.search));
  const tick = setInterval(() => {
    for (const task of tasks.values()) if (task.status === "running") rows.get(task.id).children[4].textContent = duration(elapsed(task));
  }, 1000);
  return () => { events.close(); clearInterval(tick); };
}
