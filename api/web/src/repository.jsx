// repository.jsx - one repository: whether it is reached, how tasks in it went, its settings, its analysis, its webhook secret.
import { useState } from "preact/hooks";
import { get, patch, post, remove } from "./api.js";
import { go } from "./router.js";
import { useAction, useLoad, useTitle } from "./hooks.js";
import { duration, exact, percent, plural, ran, repositoryName } from "./format.js";
import { Badge, Check, Ask, Command, Empty, Facts, faultOf, Field, Loading, notice, Secret, Status, Time, Trouble } from "./ui.jsx";
import { Connection } from "./repositories.jsx";

const ended = t => ["completed", "failed", "needs_review"].includes(t.status);
const lines = text => text.split(/\s*\n\s*/).filter(Boolean);

function Recent({ repository }) {
  const tasks = useLoad(() => get(`/tasks?repositoryId=${repository.id}&limit=50`), [repository.id]);
  if (tasks.error) return <Trouble error={tasks.error} again={tasks.reload} />;
  if (!tasks.data) return <Loading />;
  const list = tasks.data.items, done = list.filter(ended), good = done.filter(t => t.status === "completed");
  const times = good.map(ran).filter(x => x !== null).sort((a, b) => a - b);
  if (list.length === 0) return <Empty title="No task yet"><p><a href={"/new?repository=" + repository.id}>Make the first one</a>, or on the command line:</p><Command text={`pj run ${repositoryName(repository)} "Say hello in the README" --follow`} /></Empty>;
  return (
    <>
      <Facts rows={[[`Success of the last ${done.length}`, percent(done.length ? good.length / done.length : null)], ["Median time", duration(times.length ? times[times.length >> 1] : null)], ["Tasks", <a href={"/?repositoryId=" + repository.id}>{tasks.data.nextCursor ? "more than 50" : list.length}</a>]]} />
      <ul class="plainlist">{list.slice(0, 8).map(t => <li key={t.id}><Status task={t} /> <a href={"/tasks/" + t.id}>{t.title}</a> <span class="soft"><Time at={t.createdAt} /></span></li>)}</ul>
    </>
  );
}

const toForm = r => ({
  defaultBranch: r.defaultBranch || "", visibility: r.visibility, executor: r.executor || "", rootfs: r.rootfs || "", setupCommand: r.setupCommand || "", setupMinutes: r.setupTimeoutMs ? r.setupTimeoutMs / 60000 : "",
  checkCommand: r.checkCommand || "", onCheckFailure: r.onCheckFailure || "needs_review", networkAllow: (r.networkAllow || []).join("\n"), agentNetwork: !!r.agentNetwork, agent: (r.agent || []).join("\n"), codeRabbit: r.codeRabbit,
  label: r.trigger?.label || "", mention: r.trigger?.mention || "", notifyUrl: r.notifyUrl || "", token: "", username: "",
});

// Only what was changed is sent; an emptied field is null, which takes the value away.
function toEdit(before, f) {
  const edit = {}, text = name => { if (f[name] !== before[name]) edit[name] = f[name].trim() || null; };
  ["defaultBranch", "executor", "rootfs", "setupCommand", "checkCommand", "notifyUrl"].forEach(text);
  for (const name of ["visibility", "onCheckFailure", "codeRabbit", "agentNetwork"]) if (f[name] !== before[name]) edit[name] = f[name];
  if (String(f.setupMinutes) !== String(before.setupMinutes)) edit.setupTimeoutMs = f.setupMinutes === "" ? null : Math.round(Number(f.setupMinutes) * 60000);
  for (const name of ["networkAllow", "agent"]) if (f[name] !== before[name]) edit[name] = lines(f[name]).length ? lines(f[name]) : null;
  if (f.label !== before.label || f.mention !== before.mention) edit.trigger = f.label || f.mention ? { label: f.label.trim() || null, mention: f.mention.trim() || null } : null;
  if (f.token) edit.credential = { token: f.token, ...(f.username.trim() && { username: f.username.trim() }) };
  return edit;
}

function Settings({ repository, onSaved }) {
  const before = toForm(repository);
  const [f, setF] = useState(before);
  const set = name => e => setF({ ...f, [name]: e.target.type === "checkbox" ? e.target.checked : e.target.value });
  const edit = toEdit(before, f);
  const save = useAction(async e => {
    e.preventDefault();
    const made = await patch("/repositories/" + repository.id, edit);
    notice("Saved.");
    setF(toForm(made));
    onSaved(made);
  });
  const line = (name, label, hint, props) => <Field label={label} hint={hint} error={faultOf(save.error, name)} value={f[name]} onInput={set(name)} {...props} />;
  const area = (name, label, hint) => line(name, label, hint, { as: "textarea", rows: 3 });
  const pick = (name, label, options, hint) => line(name, label, hint, { options });
  return (
    <form onSubmit={save.run}>
      <div class="columns">{line("defaultBranch", "Base branch")}{pick("visibility", "Who may use it", [["private", "only its owner"], ["shared", "every user"]])}</div>
      <fieldset><legend>Work</legend>
        <div class="columns">{line("setupCommand", "Set-up command", "In the box before the agent, with network to the hosts below.", { class: "full mono" })}{line("setupMinutes", "Minutes for it", null, { type: "number", min: "0.1", step: "any" })}</div>
        <div class="columns">{line("checkCommand", "Check command", "On the base and with the patch.", { class: "full mono" })}{pick("onCheckFailure", "When it stays red", [["needs_review", "keep the patch for review"], ["draft_pr", "open a draft pull request"]])}</div>
        <div class="columns">{pick("executor", "Runs in", [["", "the server's default"], ["sandbox", "sandbox on a runner"], ["github_actions", "GitHub Actions"]])}{line("rootfs", "Root file system", "A name under rootfs/ of the runner; empty: the host's /usr.")}</div>
        {area("networkAllow", "Hosts the box may reach", "One host or host:port a line.")}
        <Check label="The agent may reach them too, not only the set-up" checked={f.agentNetwork} onChange={set("agentNetwork")} />
        {area("agent", "Another agent", "Its command, one argument a line. Empty: the built-in one.")}
      </fieldset>
      <fieldset><legend>GitHub</legend>
        <div class="columns three">{pick("codeRabbit", "CodeRabbit", [["on", "on: add its configuration, ask for a review"], ["off", "off"]])}{line("label", "Issues with this label become tasks")}{line("mention", "Comments with this mention become tasks")}</div>
      </fieldset>
      <fieldset><legend>Credential and notices</legend>
        <p class="soft">In use: {repository.credential.source ? <Badge>{repository.credential.source}</Badge> : "none"}. A new token is tried at the remote before it is kept.</p>
        <div class="columns">{line("token", "New token", null, { type: "password", autoComplete: "off" })}{line("username", "User name for it", "Empty: x-access-token")}</div>
        {line("notifyUrl", "Tell this address of every end of a task", "Signed with the webhook secret.", { type: "url" })}
      </fieldset>
      <Trouble error={save.error} title="Nothing was saved" />
      <div class="bar end"><button class="main" disabled={save.busy || Object.keys(edit).length === 0}>Save</button></div>
    </form>
  );
}

function Findings({ repository, mine }) {
  const state = useLoad(() => get(`/repositories/${repository.id}/analysis`).catch(e => { if (e.status === 404) return null; throw e; }), [repository.id]);
  const a = state.data;
  return (
    <>
      <Trouble error={state.error} again={state.reload} />
      {a && <><p>{plural(a.findings.length, "finding")} from {a.source}. They go into the prompt, the gravest first.</p>{a.summary && <p class="pre">{a.summary}</p>}
        <ul class="findings">{a.findings.map((x, i) => <li key={i}><Badge kind={x.severity}>{x.severity}</Badge> <strong>{x.title}</strong>{x.path && <> <code>{x.path}{x.line ? ":" + x.line : ""}</code></>}<p class="pre">{x.detail}</p>{x.suggestion && <pre tabIndex={0}>{x.suggestion}</pre>}</li>)}</ul>
        {mine && <Ask label="Remove the analysis" title="Remove the analysis?" text="Later tasks go without it." action={async () => { await remove(`/repositories/${repository.id}/analysis`); state.reload(); }} />}</>}
      {a === null && <p class="soft">None. It comes from CodeRabbit's comments on pull requests, or by the API.</p>}
    </>
  );
}

export function RepositoryPage({ me, id, Nothing }) {
  const { data: repository, error, reload, set } = useLoad(() => get("/repositories/" + id), [id]);
  const [secret, setSecret] = useState(null);
  useTitle(repository ? repositoryName(repository) : "Repository");
  const verify = useAction(async () => { const now = await post(`/repositories/${id}/verify`); set(now); notice("The remote was reached."); });
  if (error?.status === 404) return <Nothing />;
  if (error && !repository) return <><h1>Repository</h1><Trouble error={error} again={reload} /></>;
  if (!repository) return <Loading />;
  const mine = me.role === "admin" || repository.owner === me.id, name = repositoryName(repository), web = /^https?:/.test(repository.url);
  return (
    <>
      <p class="crumbs"><a href="/repositories">Repositories</a></p>
      <div class="head"><div><h1>{name}</h1><p class="under"><Connection repository={repository} />{web ? <a href={repository.url} target="_blank" rel="noopener noreferrer">{repository.url}</a> : <code>{repository.url}</code>}{repository.visibility === "shared" && <Badge>shared</Badge>}</p></div>
        <div class="actions"><div class="bar end"><a class="button main" href={"/new?repository=" + id}>New task</a>{mine && <button disabled={verify.busy} onClick={verify.run}>{verify.busy ? "Reaching the remote…" : "Verify"}</button>}
          {mine && <Ask label="Remove" title={`Remove ${name}?`} text="Its credential and its settings go. Its tasks stay readable." action={async () => { await remove("/repositories/" + id); go("/repositories"); }} />}</div></div></div>
      {repository.status === "invalid" && <div class="panel bad" role="alert"><strong>The remote could not be reached</strong><p class="pre">{repository.statusCause || "The last task found it gone."}</p><p><strong>What to do: </strong>check address and token below, then Verify.</p></div>}
      <Trouble error={verify.error} title="The remote could not be reached" />
      <p class="soft">Verified {exact(repository.verifiedAt)}</p>
      <section aria-label="Recent tasks"><h2>Recent tasks</h2><Recent repository={repository} /></section>
      <section id="analysis" aria-label="CodeRabbit findings"><h2>CodeRabbit findings</h2><Findings repository={repository} mine={mine} /></section>
      {mine && <section aria-label="Webhook secret"><h2>Webhook secret</h2>
        {secret && <Secret title="The new secret, shown this once" value={secret.webhookSecret}><p>The old one stays valid until {exact(secret.oldValidUntil)}.</p></Secret>}
        <p>A workflow signs its reports with it; tasks in the sandbox need none.</p>
        <Ask label="Make a new secret" title="Make a new secret?" kind="" text="It is shown once. The old one stays valid for 24 hours." action={async () => setSecret(await post(`/repositories/${id}/webhook-secret`))} /></section>}
      {mine && <section aria-label="Settings"><h2>Settings</h2><Settings key={repository.updatedAt} repository={repository} onSaved={set} /></section>}
    </>
  );
}
