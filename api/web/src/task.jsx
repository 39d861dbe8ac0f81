// task.jsx - one task: what it does now, what came of it, what can be done; its log, patch, checks, usage and prompt in tabs.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { address, get } from "./api.js";
import { setQuery } from "./router.js";
import { useLoad, useTick, useTitle } from "./hooks.js";
import { openStream } from "./stream.js";
import { exact, money, number, ran, repositoryName, ticking } from "./format.js";
import { Facts, Loading, Status, Tabs, Time, Trouble } from "./ui.jsx";
import { Markdown } from "./markdown.jsx";
import { LogStore } from "./log_store.js";
import { Log } from "./log.jsx";
import { Patch } from "./patch.jsx";
import { Actions, Failure, Question, Timeline, Waiting } from "./task_parts.jsx";
import { Checks, Prompt, Usage } from "./task_tabs.jsx";

// The task's document and its log, both live. While the log streams, its events tell of the state; after the end the common stream
// does, so that a retry from anywhere goes on here.
function useTask(id) {
  const state = useLoad(signal => get("/tasks/" + id, signal), [id]);
  const [, draw] = useState(0);
  const latest = useRef(null);
  latest.current = state;
  const store = useMemo(() => {
    const seen = { key: "" };
    const onStatus = s => {
      const key = [s.status, s.stage, s.attempt].join();
      if (seen.key !== key) latest.current.reload();
      seen.key = key;
    };
    return new LogStore(id, { onStatus, onEnd: () => latest.current.reload() });
  }, [id]);
  useEffect(() => {
    const marks = () => draw(store.stages.length + (store.state === "ended" ? 0.5 : 0));
    const forget = store.listen(marks);
    store.open();
    return () => { forget(); store.close(); };
  }, [store]);
  const ended = store.state === "ended";
  useEffect(() => {
    if (!ended) return undefined;
    const stream = openStream(last => address("/events" + (last ? "?after=" + last : "")), {
      events: {
        reset: () => latest.current.reload(),
        status: s => {
          if (s.id !== id) return;
          latest.current.reload();
          if (s.status === "running") store.follow();
        },
      },
    });
    return () => stream.close();
  }, [ended, store]);
  // An action of this page is known before the stream tells.
  const changed = task => {
    state.set(task);
    if (task.status === "running" || task.status === "queued") store.follow();
  };
  return { ...state, store, changed };
}

function Details({ task, repository, store }) {
  const isolation = [...store.entries].reverse().find(e => e.isolation)?.isolation;
  const limits = task.limits || {};
  return (
    <Facts rows={[
      ["Repository", repository ? <a href={"/repositories/" + repository.id}>{repositoryName(repository)}</a> : task.repositoryId],
      ["Base", <>{task.baseBranch || repository?.defaultBranch || "–"}{task.baseSha && <> at <code>{task.baseSha.slice(0, 12)}</code></>}</>],
      ["Branch", task.branch && <code>{task.branch}</code>],
      ["Commit", task.commitSha && <code>{task.commitSha.slice(0, 12)}</code>],
      ["Pull request", task.prUrl && <a href={task.prUrl} target="_blank" rel="noopener noreferrer">{task.pr?.number ? "#" + task.pr.number : "open it"}{task.pr?.state ? ` · ${task.pr.state}` : ""}</a>],
      ["Model", task.model && `${task.model.provider} ${task.model.name}`],
      ["Tokens", `${number(task.usage.totalTokens)}${limits.tokens ? ` of ${number(limits.tokens)}` : ""}`],
      ["Cost", `${money(task.usage.costUsd)}${limits.costUsd ? ` of ${money(limits.costUsd)}` : ""}`],
      ["Runs in", task.executor === "sandbox" ? `sandbox${task.runner ? ` on ${task.runner}` : ""}` : "GitHub Actions"],
      ["Priority", task.priority],
      ["Made", <Time at={task.createdAt} />],
      ["Finished", task.finishedAt && <Time at={task.finishedAt} />],
      ["Isolation", isolation ? <details class="inline-details"><summary>{isolation.split(" ").length} layers</summary>{isolation}</details> : task.executor === "sandbox" ? "–" : "a GitHub Actions job"],
      task.source && ["Came from", task.source.url ? <a href={task.source.url} target="_blank" rel="noopener noreferrer">{task.source.kind || task.source.url}</a> : task.source.kind],
    ]} />
  );
}

export function TaskPage({ me, at, id, Nothing }) {
  const { data: task, error, store, reload, changed } = useTask(id);
  const repository = useLoad(async signal => task ? get("/repositories/" + task.repositoryId, signal).catch(() => null) : null, [task?.repositoryId]);
  const [attempt, setAttempt] = useState(0);
  useTitle(task?.title || "Task");
  useTick(task?.status === "running");
  if (error?.status === 404 && !task) return <Nothing />;
  if (error && !task) return <><h1>Task</h1><Trouble error={error} again={reload} /></>;
  if (!task) return <Loading />;
  const tab = at.query.get("tab") || "log";
  const tabs = [["log", "Log"], ["patch", "Patch"], ["checks", "Checks", task.checks?.length || null], ["usage", "Usage"], ["prompt", "Prompt"]];
  const name = repository.data ? repositoryName(repository.data) : null;
  return (
    <>
      <p class="crumbs"><a href="/">Tasks</a>{name && <> / <a href={"/?repositoryId=" + task.repositoryId}>{name}</a></>}</p>
      <div class="head task-head">
        <div><h1>{task.title}</h1>
          <p class="under"><Status task={task} />
            {ran(task) !== null && <span class="soft" title={`since ${exact(task.startedAt)}`}>{ticking(ran(task))}</span>}
            {task.attempt > 1 && <span class="soft">attempt {task.attempt}</span>}
            {task.prUrl && <a href={task.prUrl} target="_blank" rel="noopener noreferrer">Open the pull request ↗<span class="unseen"> (opens a new tab)</span></a>}</p></div>
        <Actions task={task} me={me} changed={changed} reload={reload} />
      </div>
      <Timeline task={task} store={store} />
      {task.status === "running" && task.stage === "waiting" && <Waiting task={task} />}
      <Question task={task} changed={changed} />
      <Failure task={task} />
      <details class="description"><summary>Description</summary><div class="panel"><Markdown text={task.description} /></div></details>
      <Details task={task} repository={repository.data} store={store} />
      <Tabs label="Of this task" tabs={tabs} current={tab} onChange={t => setQuery({ tab: t === "log" ? "" : t })} />
      <div id="tab-panel" role="tabpanel" aria-labelledby={"tab-" + tab}>
        {tab === "log" && <Log store={store} task={task} attempt={attempt} onAttempt={setAttempt} />}
        {tab === "patch" && <Patch task={task} />}
        {tab === "checks" && <Checks task={task} />}
        {tab === "usage" && <Usage task={task} />}
        {tab === "prompt" && <Prompt task={task} />}
      </div>
    </>
  );
}
