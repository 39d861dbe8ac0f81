// admin.jsx - for admins: analytics, runners, users, audit, notifications; the address says which.
import { useEffect, useState } from "preact/hooks";
import { all, get, patch, post, remove } from "./api.js";
import { setQuery } from "./router.js";
import { useAction, useLoad, useTitle } from "./hooks.js";
import { ago, duration, exact, number, plural } from "./format.js";
import { Badge, Ask, Command, Empty, Field, Icon, Loading, notice, Secret, Table, Tabs, Time, Trouble } from "./ui.jsx";
import { Analytics } from "./analytics.jsx";

const isolationOf = r => Array.isArray(r.isolation) ? r.isolation : typeof r.isolation === "string" ? r.isolation.split(" ").filter(Boolean) : [];

function Runners() {
  const state = useLoad(async () => ({ list: await all("/admin/runners"), scale: await get("/admin/autoscale") }), []);
  useEffect(() => {
    const timer = setInterval(state.reload, 5000);
    return () => clearInterval(timer);
  }, []);
  if (state.error && !state.data) return <Trouble error={state.error} again={state.reload} />;
  if (!state.data) return <Loading />;
  const { list, scale } = state.data;
  return (
    <>
      <p>{plural(scale.queued, "task")} waiting, {number(scale.running)} at work, {plural(scale.desiredSlots, "slot")} wanted.</p>
      {scale.queued > 0 && !list.some(r => r.state === "ready") && <div class="panel bad" role="alert"><strong>Tasks wait and no runner takes any.</strong><p>Start one:</p><Command text="pj-runner" /></div>}
      {list.length === 0 ? <Empty title="No runner"><p>Start one with the server's <code>PJ_REDIS_URL</code> and <code>PJ_SECRET_KEY</code>.</p><Command text="pj-runner" /></Empty>
        : <Table label="Runners" columns={[["Name"], ["State"], ["Slots", "num"], ["Isolation"], ["Version"], ["Heard of", "num"], ["Tasks"], [""]]}
          rows={list.map(r => ({ key: r.name, cells: [r.name, <span class={"status " + (r.state === "ready" ? "s-completed" : "s-needs_review")}><Icon name={r.state === "ready" ? "completed" : "needs_review"} />{r.state}</span>, `${r.busy ?? 0} of ${r.slots}`,
            isolationOf(r).length ? <details class="inline-details"><summary>{plural(isolationOf(r).length, "layer")}</summary>{isolationOf(r).join(", ")}</details> : "–", r.version, duration(r.heartbeatAgeMs) + " ago",
            (r.tasks || []).length ? r.tasks.map(id => <a key={id} class="chip" href={"/tasks/" + id}>{id.slice(-6)}</a>) : "none",
            r.state === "ready" && <Ask small kind="" label="Drain" title={`Drain ${r.name}?`} text="It finishes what it has, takes nothing new, and stops." action={async () => { await post(`/admin/runners/${encodeURIComponent(r.name)}/drain`); state.reload(); }} />] }))} />}
    </>
  );
}

function NewUser({ onMade }) {
  const [email, setEmail] = useState(""), [role, setRole] = useState("user"), [login, setLogin] = useState("");
  const add = useAction(async e => {
    e.preventDefault();
    onMade(await post("/users", { email: email.trim(), role, ...(login.trim() && { githubLogin: login.trim() }) }));
    setEmail("");
    setLogin("");
  });
  return (
    <form onSubmit={add.run}>
      <div class="columns three"><Field label="Email" type="email" required value={email} onInput={e => setEmail(e.target.value)} />
        <Field label="GitHub login" value={login} onInput={e => setLogin(e.target.value)} />
        <Field label="Role" value={role} onChange={e => setRole(e.target.value)} options={[["user"], ["admin"]]} /></div>
      <Trouble error={add.error} />
      <div class="bar end"><button class="main" disabled={add.busy}>Add the user</button></div>
    </form>
  );
}

function Users({ me }) {
  const state = useLoad(() => all("/users"), []);
  const [made, setMade] = useState(null);
  const role = async (user, to) => {
    try {
      await patch("/users/" + user.id, { role: to });
      notice(`${user.email} is ${to} now.`);
    } catch (problem) {
      notice(problem.message);
    }
    state.reload();
  };
  return (
    <>
      {made && <Secret title={`First token of ${made.email}, shown this once`} value={made.token} />}
      <Trouble error={state.error} again={state.reload} />
      {!state.data && !state.error && <Loading />}
      {state.data && <Table label="Users" columns={[["Email"], ["Role"], ["GitHub"], ["Since"], [""]]}
        rows={state.data.map(u => ({ key: u.id, cells: [<>{u.email}{u.id === me.id && <> <Badge>you</Badge></>}</>, <select aria-label={"Role of " + u.email} value={u.role} onChange={e => role(u, e.target.value)}><option value="user">user</option><option value="admin">admin</option></select>, u.githubLogin, <Time at={u.createdAt} />,
          u.id !== me.id && <Ask small label="Remove" title={`Remove ${u.email}?`} text="His tokens stop at once. His tasks stay." action={async () => { await remove("/users/" + u.id); state.reload(); }} />] }))} />}
      <h2>New user</h2>
      <NewUser onMade={u => { setMade(u); state.reload(); }} />
      <p class="soft">Each makes and revokes his own tokens under his email at the top; yours are <a href="/account">here</a>.</p>
    </>
  );
}

// A list that grows by pages: audit and notifications.
function usePages(path) {
  const [items, setItems] = useState([]), [cursor, setCursor] = useState(null);
  const read = useLoad(async () => {
    const page = await get(`${path}${path.includes("?") ? "&" : "?"}limit=50`);
    setItems(page.items);
    setCursor(page.nextCursor);
    return true;
  }, [path]);
  const more = async () => {
    try {
      const page = await get(`${path}${path.includes("?") ? "&" : "?"}limit=50&cursor=${encodeURIComponent(cursor)}`);
      setItems(old => [...old, ...page.items]);
      setCursor(page.nextCursor);
    } catch (problem) {
      notice(problem.message);
    }
  };
  return { ...read, items, more: cursor && more };
}

const Older = ({ more }) => more ? <p class="more"><button onClick={more}>Older entries</button></p> : null;

function Audit() {
  const state = usePages("/admin/audit"), users = useLoad(() => all("/users"), []);
  const names = new Map((users.data || []).map(u => [u.id, u.email]));
  if (state.error) return <Trouble error={state.error} again={state.reload} />;
  if (!state.data) return <Loading />;
  return <><Table label="Audit" empty="Nothing yet." columns={[["When"], ["Who"], ["What"], ["On"], ["Detail"], ["From"]]} rows={state.items.map(a => ({ key: a.id, cells: [<time dateTime={a.at} title={ago(a.at)}>{exact(a.at)}</time>, names.get(a.actor) || a.actor, <code>{a.action}</code>,
    a.action.startsWith("task.") ? <a href={"/tasks/" + a.target}>{a.target}</a> : a.action.startsWith("repository.") ? <a href={"/repositories/" + a.target}>{a.target}</a> : names.get(a.target) || a.target, a.detail, a.address] }))} /><Older more={state.more} /></>;
}

const states = { pending: ["s-running", "queued"], sent: ["s-completed", "completed"], failed: ["s-failed", "failed"], skipped: ["s-cancelled", "cancelled"] };

function Outbox() {
  const state = usePages("/admin/outbox");
  if (state.error) return <Trouble error={state.error} again={state.reload} />;
  if (!state.data) return <Loading />;
  return <><p class="soft">Mails and webhooks owed and sent. Skipped: no mail server is set (<code>PJ_SMTP_URL</code>). A failed one is tried again for three days.</p>
    <Table label="Notifications" empty="Nothing yet." columns={[["State"], ["Kind"], ["To"], ["About"], ["Task"], ["Tries", "num"], ["Last error"], ["Made"]]}
      rows={state.items.map(o => ({ key: o.id, cells: [<span class={"status " + states[o.state][0]}><Icon name={states[o.state][1]} />{o.state}</span>, o.kind, o.to, o.template, o.taskId && <a href={"/tasks/" + o.taskId}>{o.taskId.slice(-6)}</a>, o.attempts, o.lastError, o.createdAt && <Time at={o.createdAt} />] }))} /><Older more={state.more} /></>;
}

const sections = { analytics: ["Analytics", Analytics], runners: ["Runners", Runners], users: ["Users", Users], audit: ["Audit", Audit], outbox: ["Notifications", Outbox] };

export function Admin({ me, at }) {
  const tab = sections[at.query.get("tab")] ? at.query.get("tab") : "analytics", Section = sections[tab][1];
  useTitle(sections[tab][0]);
  if (me.role !== "admin") return <><h1>Admin</h1><p>This part is for admins.</p></>;
  return (
    <>
      <h1>Admin</h1>
      <Tabs label="Admin" current={tab} tabs={Object.entries(sections).map(([k, [word]]) => [k, word])} onChange={t => setQuery({ tab: t === "analytics" ? "" : t, range: "", bucket: "", from: "", to: "" })} />
      <div id="tab-panel" role="tabpanel" aria-labelledby={"tab-" + tab}><Section me={me} at={at} /></div>
    </>
  );
}
