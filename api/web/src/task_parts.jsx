// task_parts.jsx - the upper half of a task's page: stages, why it waits, its question, its failure, and what can be done.
import { useEffect, useState } from "preact/hooks";
import { get, post, remove } from "./api.js";
import { go } from "./router.js";
import { useAction } from "./hooks.js";
import { duration, plural, stages, stageWords, ticking, waited } from "./format.js";
import { Ask, Field, Icon, Trouble } from "./ui.jsx";

const wordsOfState = { done: "done", now: "now", ended: "ended here", none: "not reached" };

// How long each stage of the attempt took, rounds of one stage summed up; the log's entries say when each began.
export function stageTimes(task, marks, now) {
  const times = new Map(), mine = marks.filter(m => m.attempt === task.attempt);
  const end = task.finishedAt && task.status !== "running" ? Date.parse(task.finishedAt) : now;
  if (task.executedAt && waited(task) !== null) times.set("waiting", { ms: waited(task), rounds: 1 });
  mine.forEach((mark, i) => {
    const to = i + 1 < mine.length ? Date.parse(mine[i + 1].at) : end, old = times.get(mark.stage) || { ms: 0, rounds: 0 };
    times.set(mark.stage, { ms: old.ms + Math.max(0, to - Date.parse(mark.at)), rounds: old.rounds + 1 });
  });
  const last = mine.length ? mine[mine.length - 1].stage : null;
  const current = task.status === "running" ? task.stage || "waiting" : null;
  return stages.map(stage => {
    const t = times.get(stage);
    const state = stage === current ? "now" : !current && stage === last && !["completed", "running"].includes(task.status) ? "ended" : t ? "done" : "none";
    return { stage, ms: t ? t.ms : null, rounds: t ? t.rounds : 0, state };
  });
}

export function Timeline({ task, store }) {
  if (task.status === "queued" && !task.executedAt) return null;
  const list = stageTimes(task, store.stages, Date.now());
  if (list.every(s => s.state === "none")) return null;
  return (
    <ol class="stages" aria-label="Stages">
      {list.map(s => (
        <li key={s.stage} class={"stage-" + s.state} aria-current={s.state === "now" ? "step" : undefined}>
          <Icon name={s.state === "now" ? "running" : s.state === "done" ? "completed" : s.state === "ended" ? task.status : "none"} spin={s.state === "now"} />
          <span class="name">{stageWords[s.stage]}{s.rounds > 1 && ` ×${s.rounds}`}</span><span class="unseen"> {wordsOfState[s.state]}</span>
          <span class="took">{s.ms === null ? "" : s.state === "now" ? ticking(s.ms) : duration(s.ms)}</span>
        </li>
      ))}
    </ol>
  );
}

const reasons = {
  no_runner: w => w.draining ? `No runner takes tasks: ${plural(w.draining, "runner")} finishing what they have. An admin can start another one: pj-runner.` : "No runner is online. An admin has to start one: pj-runner.",
  slots_busy: w => `All ${plural(w.slots, "slot")} of ${plural(w.runners, "runner")} are busy; ${plural(w.waiting, "task")} waiting, this one among them.`,
  held_back: () => "A slot is free, but you have as many tasks at work as one user may, or the free runner does not take tasks of this kind.",
  starting: () => "A slot is free: it starts any moment.",
};

export function Waiting({ task }) {
  const [why, setWhy] = useState(null);
  useEffect(() => {
    let alive = true;
    const ask = () => get(`/tasks/${task.id}/wait`).then(w => { if (alive) setWhy(w); }, () => {});
    ask();
    const timer = setInterval(ask, 3000);
    return () => { alive = false; clearInterval(timer); };
  }, [task.id]);
  return why?.reason ? <div class="panel note" role="status"><strong>Why it waits: </strong>{reasons[why.reason](why)}</div> : null;
}

export function Question({ task, changed }) {
  const [answer, setAnswer] = useState("");
  const send = useAction(async e => {
    e.preventDefault();
    changed(await post(`/tasks/${task.id}/answer`, { answer, execute: true }));
  });
  if (task.status !== "needs_clarification") return null;
  return (
    <form class="panel ask" onSubmit={send.run}>
      <h2>The agent asks</h2>
      <p class="question">{task.question}</p>
      <Field label="Your answer" as="textarea" required rows="4" maxLength={16384} value={answer} onInput={e => setAnswer(e.target.value)} />
      <Trouble error={send.error} />
      <div class="bar end"><span class="soft">The task runs again and knows question and answer.</span><button class="main" disabled={send.busy}>Answer and go on</button></div>
    </form>
  );
}

export function Failure({ task }) {
  const e = task.error;
  if (!e || task.status === "needs_clarification" || task.status === "running" || task.status === "queued") return null;
  const kind = task.status === "needs_review" ? "warn" : task.status === "cancelled" ? "note" : "bad";
  return (
    <div class={"panel " + kind} role="alert">
      <h2>{e.title || e.code}</h2>
      {e.detail && <p class="pre">{e.detail}</p>}
      {e.remedy && <p><strong>What to do: </strong>{e.remedy}</p>}
      {e.upstream?.message && <details><summary>The other side's answer</summary><p class="mono pre">{[e.upstream.status, e.upstream.message, e.upstream.requestId && `(request ${e.upstream.requestId})`].filter(Boolean).join(" ")}</p></details>}
      <p class="soft"><code>{e.code}</code>{e.retryable ? " · a retry may help as it is" : " · a retry helps only after a change"}</p>
    </div>
  );
}

function Retry({ task, changed, label }) {
  const [feedback, setFeedback] = useState("");
  const again = async () => {
    changed(await post(`/tasks/${task.id}/retry`, { execute: true, ...(feedback.trim() && { feedback: feedback.trim() }) }));
    setFeedback("");
  };
  return (
    <Ask label={label} title={label} kind="main" verb="Run it again" action={again}>
      <Field label="What should be different? (optional)" as="textarea" rows="4" maxLength={16384} value={feedback} onInput={e => setFeedback(e.target.value)} autoFocus />
    </Ask>
  );
}

export function Actions({ task, me, changed, reload }) {
  const [stopping, setStopping] = useState(0);
  const act = useAction(async verb => {
    const now = await post(`/tasks/${task.id}/${verb}`);
    if (verb === "cancel" && now.status === "running") setStopping(task.attempt);
    changed(now);
  });
  const { status } = task, open = task.pr?.state === "open";
  if (me.role !== "admin" && task.owner !== me.id) return <p class="soft">This task is somebody else's: it can be read.</p>;
  return (
    <div class="actions">
      <div class="bar end">
        {status === "queued" && <button class="main" disabled={act.busy} onClick={() => act.run("execute")}>Run</button>}
        {["failed", "needs_review", "cancelled"].includes(status) && <Retry task={task} changed={changed} label="Retry" />}
        {status === "completed" && open && <Retry task={task} changed={changed} label="Change the pull request" />}
        {status === "needs_review" && <Ask label="Publish as it is" title="Publish this patch?" kind="" text="The kept patch is pushed as it is and a pull request is opened. That you did it is kept in the audit log."
          action={async () => changed(await post(`/tasks/${task.id}/publish`))} />}
        {(status === "queued" || status === "running") && <button class="danger" disabled={act.busy || stopping === task.attempt} onClick={() => act.run("cancel")}>{status === "running" && stopping === task.attempt ? "Cancelling…" : "Cancel"}</button>}
        {status !== "running" && <Ask label="Delete" title="Delete this task?" text="Its log and its patch go with it. A branch and a pull request stay." action={async () => { await remove("/tasks/" + task.id); go("/"); }} />}
      </div>
      <Trouble error={act.error} again={act.error?.status === 409 ? reload : null} />
    </div>
  );
}
