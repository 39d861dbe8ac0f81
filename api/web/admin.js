// admin.js - numbers, the fleet, people, and who did what.
import { duration, facts, h, money, notice, number, time } from "./dom.js";
import { call, get, post } from "./api.js";

const table = (titles, rows) => rows.length ? h("div", { class: "wide" }, h("table", null, h("thead", null, h("tr", null, titles.map(t => h("th", null, t || h("span", { class: "unseen" }, "Actions"))))), h("tbody", null, rows.map(r => h("tr", null, r.map(c => h("td", null, c === null || c === undefined ? "–" : c))))))) : h("p", { class: "soft" }, "None.");
const percent = x => x === null || x === undefined ? "–" : Math.round(x * 100) + " %";

// One bar a bucket; the numbers stand in the table below and in the title.
function bars(title, buckets, value, show) {
  const top = Math.max(...buckets.map(b => value(b) || 0), 0);
  return h("figure", { style: "margin:14px 0" }, h("figcaption", { class: "soft" }, `${title}: highest ${show(top)}`),
    h("div", { class: "bars", role: "img", "aria-label": title }, buckets.map(b => h("i", { style: `height:${top ? 100 * (value(b) || 0) / top : 0}%`, title: `${time(b.start)}: ${show(value(b))}` }))));
}

async function analytics() {
  const query = new URLSearchParams(location.search), bucket = query.get("bucket") === "hour" ? "hour" : "day";
  const from = new Date(Date.now() - (bucket === "hour" ? 2 : 30) * 86400000).toISOString();
  const a = await get(`/admin/analytics?bucket=${bucket}&from=${from}`), t = a.totals || {};
  const sum = t.tasks || {};
  return [h("p", { class: "bar" }, h("a", { href: "/admin?bucket=day" }, "30 days"), h("a", { href: "/admin?bucket=hour" }, "48 hours"), h("a", { class: "button", href: `/api/v1/admin/analytics?bucket=${bucket}&from=${from}&format=csv`, download: "analytics.csv" }, "CSV")),
    facts([["Completed", number(sum.completed)], ["Failed", number(sum.failed)], ["Needs review", number(sum.needs_review)], ["Success", percent(t.successRate)], ["Tokens", number(t.tokens && t.tokens.total)],
      ["Cost", money(t.costUsd)], ["Mean time", duration(t.durationMs && t.durationMs.mean)], ["95 % within", duration(t.durationMs && t.durationMs.p95)], ["Median wait", duration(t.queueWaitMs && t.queueWaitMs.p50)]]),
    bars("Tokens", a.buckets, b => b.tokens.total, number), bars("Cost", a.buckets, b => b.costUsd, money), bars("Completed", a.buckets, b => b.tasks.completed, number),
    t.byModel && table(["Model", "Calls", "Tokens", "Cost"], t.byModel.map(m => [[m.provider, m.model].filter(Boolean).join(" "), number(m.calls), number(m.tokens && m.tokens.total), money(m.costUsd)]))];
}

export async function admin(main, { go }) {
  document.title = "Admin · Pithy Jaunt";
  const [numbers, runners, users, audit, outbox] = await Promise.all([analytics(), get("/admin/runners"), get("/users?limit=200"), get("/admin/audit?limit=50"), get("/admin/outbox?limit=50")]);
  const secret = h("div"), email = h("input", { type: "email", required: true, placeholder: "name@example.org", "aria-label": "Email" });
  const role = h("select", { "aria-label": "Role" }, h("option", { value: "user" }, "user"), h("option", { value: "admin" }, "admin"));
  const attempt = f => async e => { if (e) e.preventDefault(); try { await f(); } catch (problem) { notice(problem.message); } };
  const add = attempt(async () => {
    const made = await post("/users", { email: email.value, role: role.value });
    secret.replaceChildren(h("div", { class: "panel" }, h("strong", null, `First token of ${made.email}, shown this once`), h("p", { class: "secret" }, made.token)));
  });
  main.replaceChildren(h("h1", null, "Admin"), ...numbers.filter(Boolean),
    h("h2", null, "Runners"), table(["Name", "State", "Slots", "Version", "Isolation", "Heartbeat", "Tasks", ""], runners.items.map(r => [r.name, r.state, `${r.busy ?? 0} of ${r.slots}`, r.version, r.isolation && (typeof r.isolation === "string" ? r.isolation : JSON.stringify(r.isolation)), duration(r.heartbeatAgeMs) + " ago",
      h("span", null, (r.tasks || []).map(id => [h("a", { href: "/tasks/" + id }, id.slice(-6)), " "]).flat()), h("button", { onclick: attempt(async () => { await post(`/admin/runners/${encodeURIComponent(r.name)}/drain`, {}); go("/admin"); }) }, "Drain")])),
    h("h2", null, "Users"), secret, table(["Email", "Role", "GitHub", "Made", ""], users.items.map(u => [u.email, u.role, u.githubLogin, time(u.createdAt), h("button", { class: "danger", onclick: () => confirm(`Remove ${u.email} with all tokens?`) && attempt(async () => { await call("DELETE", "/users/" + u.id); go("/admin"); })() }, "Remove")])),
    h("form", { class: "bar", onsubmit: add }, email, role, h("button", { class: "main" }, "Add user")),
    h("h2", null, "Audit"), table(["When", "Who", "What", "On", "From"], audit.items.map(a => [time(a.at), (users.items.find(u => u.id === a.actor) || {}).email || a.actor, a.action, a.detail || a.target, a.address])),
    h("h2", null, "Notifications"), table(["Kind", "To", "About", "State", "Tries", "Error"], outbox.items.map(o => [o.kind, o.to, o.template, o.state, number(o.attempts), o.lastError])));
}
