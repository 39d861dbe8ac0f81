// task.js - one task: what it does now, what came of it, and what can be done.
import { duration, elapsed, facts, h, money, notice, number, status, time } from "./dom.js";
import { call, get, post, text } from "./api.js";
import { diffView } from "./diff.js";
import { logView } from "./log.js";

const stages = ["waiting", "preparing", "analyzing", "generating", "checking", "applying", "pushing", "pull_request"];

function timeline(task) {
  if (task.status !== "running") return null;
  const at = stages.indexOf(task.stage);
  return h("ol", { class: "stages", "aria-label": "Stages" }, stages.map((s, i) => h("li", { class: i < at ? "done" : null, "aria-current": i === at ? "step" : null }, s.replace("_", " "))));
}

function errorPanel(task) {
  const e = task.error;
  if (!e || task.status === "needs_clarification") return null;
  return h("div", { class: "panel bad", role: "alert" }, h("strong", null, e.title || e.code), h("p", null, e.detail || ""),
    e.remedy && h("p", null, h("strong", null, "What to do: "), e.remedy), e.upstream && e.upstream.message && h("p", { class: "soft" }, `${e.upstream.status || ""} ${e.upstream.message}`), h("p", { class: "soft mono" }, e.code));
}

export async function taskPage(main, { go }, id) {
  let task = await get("/tasks/" + id);
  const repository = await get("/repositories/" + task.repositoryId).catch(() => null);
  const head = h("div"), panel = h("div"), actions = h("div");
  let log = null, tab = "log";

  const act = async (verb, body) => {
    try {
      task = await post(`/tasks/${id}/${verb}`, body || {});
      render();
      if (verb !== "cancel") open("log");
    } catch (problem) {
      notice(problem.message);
    }
  };

  function questionPanel() {
    if (task.status !== "needs_clarification") return null;
    const answer = h("textarea", { "aria-label": "Your answer", required: true });
    return h("form", { class: "panel ask", onsubmit: e => { e.preventDefault(); act("answer", { answer: answer.value, execute: true }); } },
      h("strong", null, "The agent asks"), h("p", null, task.question || ""), answer, h("div", { class: "bar" }, h("button", { class: "main" }, "Answer and go on")));
  }

  function buttons() {
    const b = (label, onclick, cls) => h("button", { onclick, class: cls }, label), out = [];
    if (task.status === "queued") out.push(b("Run", () => act("execute"), "main"));
    if (task.status === "queued" || task.status === "running") out.push(b("Cancel", () => act("cancel"), "danger"));
    if (["failed", "needs_review", "cancelled"].includes(task.status) || (task.status === "completed" && task.pr && task.pr.state === "open")) {
      const feedback = h("input", { class: "grow", placeholder: "Feedback for the agent (optional)", "aria-label": "Feedback" });
      out.push(feedback, b("Retry", () => act("retry", feedback.value.trim() ? { feedback: feedback.value.trim(), execute: true } : { execute: true }), "main"));
    }
    if (task.status === "needs_review") out.push(b("Publish the patch as it is", () => act("publish")));
    if (task.prUrl) out.push(h("a", { class: "button", href: task.prUrl, target: "_blank", rel: "noopener noreferrer" }, "Open the pull request"));
    if (task.status !== "running") out.push(b("Delete", async () => { if (confirm("Delete this task with its log?")) { await call("DELETE", "/tasks/" + id); go("/"); } }, "danger"));
    return out;
  }

  function render() {
    document.title = `${task.title} · Pithy Jaunt`;
    head.replaceChildren(...[
      h("p", { class: "bar" }, status(task), h("span", { class: "soft", id: "elapsed" }, duration(elapsed(task))), task.attempt > 1 && h("span", { class: "soft" }, "attempt " + task.attempt)),
      h("h1", null, task.title), timeline(task),
      task.status === "running" && task.stage === "waiting" && h("p", { class: "soft" }, "Waiting for a free runner."),
      questionPanel(), errorPanel(task),
      h("details", null, h("summary", null, "Description"), h("div", { class: "panel" }, h("p", null, task.description))),
      facts([["Repository", repository ? h("a", { href: repository.url.startsWith("http") ? repository.url : "/repositories" }, repository.name) : task.repositoryId],
        ["Branch", task.branch && h("code", null, task.branch)], ["Commit", task.commitSha && h("code", null, task.commitSha.slice(0, 12))],
        ["Pull request", task.prUrl && h("a", { href: task.prUrl, target: "_blank", rel: "noopener noreferrer" }, (task.pr && task.pr.number ? "#" + task.pr.number : "open") + (task.pr && task.pr.state ? " · " + task.pr.state : ""))],
        ["Model", task.model && `${task.model.provider} ${task.model.name}`], ["Tokens", number(task.usage.totalTokens)], ["Cost", money(task.usage.costUsd)],
        ["Executor", task.executor], ["Runner", task.runner], ["Made", time(task.createdAt)], ["Finished", time(task.finishedAt)]]),
    ].filter(Boolean));
    actions.replaceChildren(h("div", { class: "bar" }, buttons()));
  }

  const tabs = { log: "Log", patch: "Patch", checks: "Checks", usage: "Usage" };
  const strip = h("div", { class: "tabs", role: "tablist" });

  function startLog() {
    if (log) log.close();
    log = logView(id, {
      onStatus: async s => { if (s.status !== task.status || s.stage !== task.stage || s.attempt !== task.attempt) { task = await get("/tasks/" + id); render(); } },
      onEnd: async () => { task = await get("/tasks/" + id); render(); },
    });
    return log.element;
  }

  async function content() {
    if (tab === "log") return startLog();
    if (tab === "patch") {
      try {
        const [diff, view] = await Promise.all([text(`/tasks/${id}/patch`), get(`/tasks/${id}/patch?format=json`)]);
        return diffView(diff, view, id);
      } catch (problem) {
        return h("p", { class: "soft" }, problem.code === "no_patch" ? "There is no patch yet." : problem.message);
      }
    }
    if (tab === "checks") {
      if (!task.checks || !task.checks.length) return h("p", { class: "soft" }, "No check was run.");
      const word = x => x === null || x === undefined ? "–" : typeof x === "object" ? (x.exitCode === 0 ? "passed" : "failed" + (x.exitCode !== undefined ? ` (${x.exitCode})` : "")) : String(x);
      return h("table", null, h("thead", null, h("tr", null, h("th", null, "Command"), h("th", null, "Before"), h("th", null, "After"))),
        h("tbody", null, task.checks.map(c => h("tr", null, h("td", { class: "mono" }, c.command), h("td", null, word(c.before)), h("td", null, word(c.after))))));
    }
    const calls = (await get(`/tasks/${id}/usage`)).items;
    if (!calls.length) return h("p", { class: "soft" }, "No model was called.");
    return h("div", { class: "wide" }, h("table", null, h("thead", null, h("tr", null, ["When", "Model", "Prompt", "Cached", "Completion", "Cost", "Time"].map((w, i) => h("th", { class: i > 1 ? "num" : null }, w)))),
      h("tbody", null, calls.map(c => h("tr", null, h("td", null, time(c.at)), h("td", null, `${c.provider} ${c.model}`), h("td", { class: "num" }, number(c.promptTokens)), h("td", { class: "num" }, number(c.cachedTokens)),
        h("td", { class: "num" }, number(c.completionTokens)), h("td", { class: "num" }, money(c.costUsd)), h("td", { class: "num" }, duration(c.durationMs)))))));
  }

  async function open(name) {
    tab = name;
    if (log) { log.close(); log = null; }
    strip.replaceChildren(...Object.entries(tabs).map(([key, label]) => h("button", { role: "tab", "aria-selected": String(key === tab), onclick: () => open(key) }, label)));
    panel.replaceChildren(await content());
  }

  main.replaceChildren(head, actions, strip, panel);
  render();
  await open("log");
  const tick = setInterval(() => {
    const e = document.getElementById("elapsed");
    if (e && task.status === "running") e.textContent = duration(elapsed(task));
  }, 1000);
  return () => { clearInterval(tick); if (log) log.close(); };
}
