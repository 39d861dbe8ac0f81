// new.jsx - a new task. What was typed survives a reload of the page, until the task is made.
import { useEffect, useState } from "preact/hooks";
import { all, post } from "./api.js";
import { go } from "./router.js";
import { useAction, useLoad, useStored, useTitle } from "./hooks.js";
import { repositoryName } from "./format.js";
import { Check, Empty, faultOf, Field, Loading, Tabs, Trouble } from "./ui.jsx";
import { Markdown } from "./markdown.jsx";

const blank = { repositoryId: "", title: "", description: "", baseBranch: "", priority: "normal", executor: "", provider: "", model: "", minutes: "", tokens: "", cost: "", turns: "", execute: true };

function toTask(f) {
  const task = { repositoryId: f.repositoryId, title: f.title.trim(), description: f.description, priority: f.priority, execute: f.execute };
  const limits = {};
  if (f.baseBranch.trim()) task.baseBranch = f.baseBranch.trim();
  if (f.executor) task.executor = f.executor;
  if (f.provider && f.model.trim()) task.model = { provider: f.provider, name: f.model.trim() };
  if (f.minutes) limits.timeoutMs = Math.round(Number(f.minutes) * 60000);
  if (f.tokens) limits.tokens = Number(f.tokens);
  if (f.cost) limits.costUsd = Number(f.cost);
  if (f.turns) limits.turns = Number(f.turns);
  if (Object.keys(limits).length) task.limits = limits;
  return task;
}

function Description({ value, onInput, fault }) {
  const [tab, setTab] = useState("write");
  return (
    <div class="field">
      <div class="over"><label htmlFor="description">Description</label><Tabs label="Write or preview" current={tab} onChange={setTab} tabs={[["write", "Write"], ["preview", "Preview"]]} /></div>
      <div id="tab-panel" role="tabpanel" aria-labelledby={"tab-" + tab}>
        {tab === "write"
          ? <textarea id="description" required rows="12" maxLength={65536} value={value} onInput={e => onInput(e.target.value)} aria-describedby="description-about" />
          : <div class="panel preview">{value.trim() ? <Markdown text={value} /> : <p class="soft">Nothing to show yet.</p>}</div>}
      </div>
      <p id="description-about" class={fault ? "fault" : "soft"}>{fault || "What should be different afterwards, and how one can tell. Markdown is fine."}</p>
    </div>
  );
}

export function NewTask({ at }) {
  useTitle("New task");
  const wanted = at.query.get("repository");
  const repositories = useLoad(() => all("/repositories"), []);
  const [form, setForm] = useStored("draft", blank);
  const f = { ...blank, ...form }, set = name => e => setForm({ ...f, [name]: e.target.type === "checkbox" ? e.target.checked : e.target.value });
  useEffect(() => {
    const list = repositories.data;
    if (!list?.length) return;
    const choice = [wanted, f.repositoryId].find(id => list.some(r => r.id === id)) || (list.find(r => r.status === "connected") || list[0]).id;
    if (choice !== f.repositoryId) setForm({ ...f, repositoryId: choice });
  }, [repositories.data]);
  const submit = useAction(async e => {
    e.preventDefault();
    const made = await post("/tasks", toTask(f));
    setForm({ ...blank, repositoryId: f.repositoryId });
    go("/tasks/" + made.id);
  });

  if (repositories.error) return <Trouble error={repositories.error} again={repositories.reload} />;
  if (!repositories.data) return <Loading />;
  if (repositories.data.length === 0)
    return <><h1>New task</h1><Empty title="No repository yet"><p>A task works on a repository. <a href="/repositories">Connect one</a> first.</p></Empty></>;
  const repository = repositories.data.find(r => r.id === f.repositoryId);
  return (
    <div class="narrow">
      <h1>New task</h1>
      <form onSubmit={submit.run}>
        <Field label="Repository" value={f.repositoryId} onChange={set("repositoryId")} options={repositories.data.map(r => [r.id, repositoryName(r) + (r.status === "connected" ? "" : " (not connected)")])}
          hint={repository?.status === "invalid" ? `Not connected: ${repository.statusCause || "the remote could not be reached"}. A task can be made, but not run.` : ""} />
        <Field label="Title" hint="One line: the subject of the commit and of the pull request." error={faultOf(submit.error, "title")} required maxLength={200} value={f.title} onInput={set("title")} />
        <Description value={f.description} onInput={description => setForm({ ...f, description })} fault={faultOf(submit.error, "description")} />
        <div class="columns">
          <Field label="Model" hint="Empty: the runner's own." class="" value={f.provider} onChange={set("provider")} options={[["", "Default"], ["openai"], ["anthropic"], ["replay"]]}
            pair={<input class="full" aria-label="Model name" placeholder="model name" disabled={!f.provider} required={!!f.provider} value={f.model} onInput={set("model")} />} />
          <Field label="Base branch" placeholder={repository?.defaultBranch || "the default"} value={f.baseBranch} onInput={set("baseBranch")} />
        </div>
        <fieldset>
          <legend>Limits</legend>
          <p class="soft">The task ends when one is reached. Empty: the server's own.</p>
          <div class="columns four">
            {[["minutes", "Minutes", "0.1", "any"], ["tokens", "Tokens", "1", "1"], ["cost", "US dollars", "0", "0.01"], ["turns", "Turns", "1", "1"]].map(([name, label, min, step]) =>
              <Field key={name} label={label} type="number" min={min} step={step} value={f[name]} onInput={set(name)} />)}
          </div>
        </fieldset>
        <div class="columns">
          <Field label="Priority" value={f.priority} onChange={set("priority")} options={[["high"], ["normal"], ["low"]]} />
          <Field label="Runs in" value={f.executor} onChange={set("executor")} options={[["", "the repository's choice"], ["sandbox", "sandbox on a runner"], ["github_actions", "GitHub Actions"]]} />
        </div>
        <Trouble error={submit.error} title="The task was not made" />
        <div class="bar end"><Check label="Run it now" checked={f.execute} onChange={set("execute")} /><button class="main" disabled={submit.busy}>Make the task</button></div>
      </form>
    </div>
  );
}
