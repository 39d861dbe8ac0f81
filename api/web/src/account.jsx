// account.jsx - my tokens: for the command line, for scripts, each with what it may.
import { useState } from "preact/hooks";
import { all, post, remove } from "./api.js";
import { useAction, useLoad, useTitle } from "./hooks.js";
import { exact } from "./format.js";
import { Badge, Ask, Command, Facts, Field, Loading, Secret, Table, Time, Trouble } from "./ui.jsx";

function NewToken({ me, onMade }) {
  const [name, setName] = useState(""), [days, setDays] = useState("90"), [scopes, setScopes] = useState([]);
  const make = useAction(async e => {
    e.preventDefault();
    onMade(await post("/tokens", { name: name.trim(), ...(scopes.length && { scopes }), ...(days && { expiresAt: new Date(Date.now() + days * 86400e3).toISOString() }) }));
    setName("");
  });
  return (
    <form onSubmit={make.run}>
      <div class="columns"><Field label="Name" required maxLength={100} value={name} onInput={e => setName(e.target.value)} />
        <Field label="Valid for" value={days} onChange={e => setDays(e.target.value)} options={[["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "a year"], ["", "until it is revoked"]]} /></div>
      <fieldset><legend>What it may</legend><p class="soft">Nothing chosen: all that you may.</p>
        <div class="checks">{me.scopes.map(s => <label key={s} class="inline"><input type="checkbox" checked={scopes.includes(s)} onChange={e => setScopes(e.target.checked ? [...scopes, s] : scopes.filter(x => x !== s))} /> <code>{s}</code></label>)}</div></fieldset>
      <Trouble error={make.error} />
      <div class="bar end"><button class="main" disabled={make.busy}>Make a token</button></div>
    </form>
  );
}

export function Account({ me }) {
  useTitle("Your tokens");
  const list = useLoad(() => all("/tokens"), []);
  const [made, setMade] = useState(null);
  return (
    <>
      <h1>Your tokens</h1>
      <Facts rows={[["Email", me.email], ["Role", me.role], ["GitHub", me.githubLogin], ["Since", exact(me.createdAt)]]} />
      {made && <Secret title={`The token “${made.name}”, shown this once`} value={made.token}><Command text={`pj login ${location.origin}`} /></Secret>}
      <Trouble error={list.error} again={list.reload} />
      {!list.data && !list.error && <Loading />}
      {list.data && <Table label="Tokens" empty="None." columns={[["Name"], ["May"], ["Made"], ["Last used"], ["Ends"], [""]]}
        rows={list.data.map(t => ({ key: t.id, cells: [<>{t.name}{t.id === me.tokenId && <> <Badge>this session</Badge></>}</>, t.scopes?.length ? t.scopes.map(s => <Badge key={s}>{s}</Badge>) : "all that you may", <Time at={t.createdAt} />, t.lastUsedAt ? <Time at={t.lastUsedAt} /> : "never", t.expiresAt ? exact(t.expiresAt) : "never",
          t.id !== me.tokenId && <Ask small label="Revoke" title={`Revoke ${t.name}?`} text="Whoever uses it is refused at once." action={async () => { await remove("/tokens/" + t.id); list.reload(); }} />] }))} />}
      <h2>New token</h2>
      <NewToken me={me} onMade={t => { setMade(t); list.reload(); }} />
    </>
  );
}
