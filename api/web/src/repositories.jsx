// repositories.jsx - what is connected, and connecting more.
import { useState } from "preact/hooks";
import { all, post } from "./api.js";
import { useAction, useLoad, useTitle } from "./hooks.js";
import { repositoryName } from "./format.js";
import { Badge, Check, Empty, faultOf, Field, Icon, Loading, Secret, Table, Time, Trouble } from "./ui.jsx";

export const Connection = ({ repository }) => repository.status === "connected"
  ? <span class="status s-completed"><Icon name="completed" />Connected</span>
  : <span class="status s-failed"><Icon name="failed" />Not connected</span>;

export function Connect({ onMade }) {
  const [f, setF] = useState({ url: "", branch: "", token: "", check: "", shared: false });
  const set = name => e => setF({ ...f, [name]: e.target.type === "checkbox" ? e.target.checked : e.target.value });
  const connect = useAction(async e => {
    e.preventDefault();
    const body = { url: f.url.trim(), visibility: f.shared ? "shared" : "private" };
    if (f.branch.trim()) body.defaultBranch = f.branch.trim();
    if (f.token) body.credential = { token: f.token };
    if (f.check.trim()) body.checkCommand = f.check.trim();
    const made = await post("/repositories", body);
    setF({ url: "", branch: "", token: "", check: "", shared: false });
    onMade(made);
  });
  return (
    <form onSubmit={connect.run} class="connect">
      <Field label="Address" error={faultOf(connect.error, "url")} hint="https://… of a forge that the server lists, or git@host:owner/name" required value={f.url} onInput={set("url")} placeholder="https://github.com/owner/name" />
      <div class="columns">
        <Field label="Branch" error={faultOf(connect.error, "defaultBranch")} value={f.branch} onInput={set("branch")} placeholder="the remote's default" />
        <Field label="Token" error={faultOf(connect.error, "credential")} hint="Sealed on the server, never shown again. Empty: the server's own." type="password" autoComplete="off" value={f.token} onInput={set("token")} />
      </div>
      <Field label="Check command" error={faultOf(connect.error, "checkCommand")} hint="Run before and after the change; its failures go back to the agent." class="full mono" value={f.check} onInput={set("check")} placeholder="make test" />
      <Trouble error={connect.error} title="It was not connected" />
      <div class="bar end"><Check label="Every user may make tasks in it" checked={f.shared} onChange={set("shared")} />
        <button class="main" disabled={connect.busy}>{connect.busy ? "Reaching the remote…" : "Connect"}</button></div>
    </form>
  );
}

export function Repositories() {
  useTitle("Repositories");
  const list = useLoad(() => all("/repositories"), []);
  const [made, setMade] = useState(null);
  const empty = list.data?.length === 0;
  return (
    <>
      <h1>Repositories</h1>
      {made && <Secret title={`${repositoryName(made)} is connected. Its webhook secret, shown this once`} value={made.webhookSecret}>
        <p>A workflow signs its reports with it. <a href={"/repositories/" + made.id}>Settings</a> · <a href={"/new?repository=" + made.id}>First task</a></p></Secret>}
      <Trouble error={list.error} again={list.reload} />
      {!list.data && !list.error && <Loading />}
      {empty && <Empty title="None yet"><p>Connect the first one: the server reaches the remote before it says yes.</p></Empty>}
      {list.data?.length > 0 && <Table label="Repositories" columns={[["Name"], ["Status"], ["Branch"], ["Check"], ["Credential"], ["Verified"], [""]]}
        rows={list.data.map(r => ({ key: r.id, cells: [
          <><a href={"/repositories/" + r.id}>{repositoryName(r)}</a>{r.visibility === "shared" && <> <Badge>shared</Badge></>}</>,
          <><Connection repository={r} />{r.status === "invalid" && r.statusCause && <span class="soft sub">{r.statusCause}</span>}</>,
          <code>{r.defaultBranch}</code>, r.checkCommand && <code>{r.checkCommand}</code>, r.credential.source || "none", <Time at={r.verifiedAt} />,
          <a class="button small" href={"/new?repository=" + r.id}>New task<span class="unseen"> in {repositoryName(r)}</span></a>] }))} />}
      <details class="card" open={empty}><summary>Connect a repository</summary><Connect onMade={r => { setMade(r); list.reload(); }} /></details>
    </>
  );
}
