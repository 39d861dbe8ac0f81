// setup.jsx - the first run: from the set-up token to the first task, each step checked against the server.
import { useState } from "preact/hooks";
import { all, get, patch, post } from "./api.js";
import { useAction, useLoad, useTitle } from "./hooks.js";
import { plural } from "./format.js";
import { Command, Field, Icon, Loading, Secret, Trouble } from "./ui.jsx";
import { Connect } from "./repositories.jsx";

function Step({ n, title, done, children }) {
  return (
    <li class={done ? "done" : null}>
      <h2><span class="mark">{done ? <Icon name="completed" /> : n}</span>{title}{done && <span class="unseen"> (done)</span>}</h2>
      <div>{children}</div>
    </li>
  );
}

function Owner({ me, refresh, tokens, reload }) {
  const [email, setEmail] = useState(me.email);
  const [made, setMade] = useState(null);
  const save = useAction(async e => {
    e.preventDefault();
    if (email !== me.email) await patch("/users/" + me.id, { email });
    setMade(await post("/tokens", { name: "personal" }));
    refresh();
    reload();
  });
  if (made) return <Secret title="Your own token, shown this once" value={made.token}><p>The set-up token can be revoked under your email at the top.</p></Secret>;
  if (tokens.some(t => t.name === "personal")) return <p>You are <strong>{me.email}</strong> and have a token of your own.</p>;
  return (
    <form onSubmit={save.run}>
      <p>The token you came with stands in a log or a file: take one of your own, and say where mails about your tasks go.</p>
      <Field label="Your email" type="email" required value={email} onInput={e => setEmail(e.target.value)} />
      <Trouble error={save.error} />
      <button class="main" disabled={save.busy}>Save and make my token</button>
    </form>
  );
}

export function Setup({ me, refresh }) {
  useTitle("Set-up");
  const state = useLoad(async () => {
    const [repositories, runners, tokens, tasks] = await Promise.all([all("/repositories"), me.role === "admin" ? all("/admin/runners") : [], all("/tokens"), get("/tasks?limit=1")]);
    return { repositories, runners, tokens, tasks: tasks.items };
  }, []);
  if (state.error) return <Trouble error={state.error} again={state.reload} />;
  if (!state.data) return <Loading />;
  const { repositories, runners, tokens, tasks } = state.data;
  const ready = runners.filter(r => r.state === "ready");
  const slots = ready.reduce((n, r) => n + (r.slots || 0), 0);
  return (
    <div class="narrow">
      <h1>Set up Pithy Jaunt</h1>
      <p class="soft">Four steps to the first pull request.</p>
      <ol class="steps">
        <Step n="1" title="You" done={tokens.some(t => t.name === "personal")}><Owner me={me} refresh={refresh} tokens={tokens} reload={state.reload} /></Step>
        <Step n="2" title="A runner" done={ready.length > 0}>
          {ready.length > 0
            ? <p>{plural(ready.length, "runner")} with {plural(slots, "slot")}, on {ready.map(r => r.name).join(", ")}.</p>
            : <><p>Tasks are carried out by <code>pj-runner</code>, and none is here yet. Start it with the same <code>PJ_REDIS_URL</code> and <code>PJ_SECRET_KEY</code> as this server.</p>
              <Command text="PJ_CONFIG=/etc/pithyjaunt/runner.conf pj-runner" /><p><button onClick={state.reload}>Look again</button></p></>}
        </Step>
        <Step n="3" title="A repository" done={repositories.length > 0}>
          {repositories.length > 0 ? <p><a href={"/repositories/" + repositories[0].id}>{repositories[0].name}</a>{repositories.length > 1 && ` and ${plural(repositories.length - 1, "other")}`} connected.</p>
            : <Connect onMade={state.reload} />}
        </Step>
        <Step n="4" title="The first task" done={tasks.length > 0}>
          {tasks.length > 0 ? <p><a href={"/tasks/" + tasks[0].id}>{tasks[0].title}</a>. That was all: <a href="/">the tasks</a>.</p>
            : repositories.length > 0 ? <p><a class="button main" href={"/new?repository=" + repositories[0].id}>New task</a></p> : <p class="soft">As soon as a repository is connected.</p>}
        </Step>
      </ol>
    </div>
  );
}
