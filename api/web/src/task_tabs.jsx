// task_tabs.jsx - checks, usage and prompt of a task.
import { all, address, text } from "./api.js";
import { useLoad } from "./hooks.js";
import { duration, exact, money, number } from "./format.js";
import { Facts, Icon, Loading, Table, Trouble } from "./ui.jsx";
import { Markdown } from "./markdown.jsx";

function Result({ word }) {
  if (word === null || word === undefined) return "–";
  const text = typeof word === "object" ? (word.exitCode === 0 ? "passed" : `failed (${word.exitCode})`) : String(word);
  const good = text.startsWith("passed");
  return <span class={good ? "status s-completed" : "status s-failed"}><Icon name={good ? "completed" : "failed"} />{text}</span>;
}

export function Checks({ task }) {
  if (!task.checks?.length) return <p class="soft">{task.status === "running" ? "No check has run yet." : "No check was run."}</p>;
  return (
    <>
      <Table label="Checks" columns={[["Command"], ["On the base"], ["With the patch"]]} rows={task.checks.map((c, i) => ({ key: i, cells: [<code>{c.command}</code>, <Result word={c.before} />, <Result word={c.after} />] }))} />
      <p class="soft">What was red before and is no worse does not stop the pull request.</p>
    </>
  );
}

export function Usage({ task }) {
  const state = useLoad(() => all(`/tasks/${task.id}/usage`), [task.id, task.status, task.usage.totalTokens]);
  const u = task.usage;
  if (state.error) return <Trouble error={state.error} again={state.reload} />;
  if (!state.data) return <Loading />;
  return (
    <>
      <Facts rows={[["Total", number(u.totalTokens)], ["Prompt", number(u.promptTokens)], ["of it cached", number(u.cachedTokens)], ["Completion", number(u.completionTokens)], ["of it reasoning", number(u.reasoningTokens)], ["Cost", money(u.costUsd)]]} />
      <Table label="Model calls" empty="No model was called." columns={[["When"], ["Attempt", "num"], ["Turn", "num"], ["Model"], ["For"], ["Prompt", "num"], ["Cached", "num"], ["Completion", "num"], ["Cost", "num"], ["Time", "num"]]}
        rows={state.data.map(c => ({ key: c.id, cells: [exact(c.at), c.attempt, c.turn, `${c.provider} ${c.model}`, c.purpose, number(c.promptTokens), number(c.cachedTokens), number(c.completionTokens), money(c.costUsd), duration(c.durationMs)] }))} />
      {u.costUsd === null && state.data.length > 0 && <p class="soft">No cost: the price table has no row for a model that was called.</p>}
    </>
  );
}

const short = (s, n = 4000) => s.length > n ? s.slice(0, n) + `\n… ${number(s.length - n)} characters more in the file` : s;
const arguments_ = a => typeof a === "string" ? a : Object.entries(a || {}).map(([k, v]) => `${k}: ${typeof v === "string" ? v : JSON.stringify(v)}`).join("\n");

function Step({ step }) {
  if (step.type === "turn")
    return <li class="turn"><span class="by">{step.provider} {step.model}<span class="soft"> · {number(step.promptTokens)} in, {number(step.completionTokens)} out</span></span>
      {step.text && <p class="pre">{short(step.text)}</p>}
      {(step.calls || []).map(c => <details key={c.id}><summary><code>{c.name}</code> <span class="soft">{String(c.arguments?.path ?? c.arguments?.command ?? c.arguments?.pattern ?? "").slice(0, 100)}</span></summary><pre tabIndex={0}>{short(arguments_(c.arguments))}</pre></details>)}</li>;
  if (step.type === "results")
    return <li class="results">{step.results.map(r => <details key={r.id}><summary>Result <span class="soft">{(r.text || "").split("\n")[0].slice(0, 100)}</span></summary><pre tabIndex={0}>{short(r.text || "")}</pre></details>)}</li>;
  if (step.type === "task" || step.type === "finish") return null;
  return <li><details><summary>{step.type}</summary><pre tabIndex={0}>{short(JSON.stringify(step, null, 1))}</pre></details></li>;
}

// What the model was given, and what it made of it.
export function Prompt({ task }) {
  const state = useLoad(async signal => {
    const lines = await text(`/tasks/${task.id}/trajectory`, signal);
    return lines.split("\n").filter(Boolean).map(line => { try { return JSON.parse(line); } catch { return { type: "unreadable", line }; } });
  }, [task.id, task.status, task.attempt]);
  const steps = state.data || [], finish = steps.find(s => s.type === "finish");
  return (
    <div class="prompt">
      <h2>Given</h2>
      <div class="panel"><strong>{task.title}</strong><Markdown text={task.description} /></div>
      {task.question && task.answer && <div class="panel"><strong>An earlier question</strong><p class="pre">{task.question}</p><strong>and its answer</strong><p class="pre">{task.answer}</p></div>}
      {task.feedback && <div class="panel"><strong>Feedback to the attempt before</strong><p class="pre">{task.feedback}</p></div>}
      <p class="soft">With it go the instruction files (AGENTS.md and the like), a map of the files and the findings of the <a href={"/repositories/" + task.repositoryId + "#analysis"}>CodeRabbit analysis</a>.</p>
      <h2>Turns</h2>
      {state.error && (state.error.status === 404 ? <p class="soft">{task.status === "running" ? "They are kept when the agent has finished." : "None are kept of this task."}</p> : <Trouble error={state.error} again={state.reload} />)}
      {!state.data && !state.error && <Loading />}
      <ol class="turns">{steps.map((s, i) => <Step key={i} step={s} />)}</ol>
      {finish?.summary && <div class="panel good"><strong>Its summary</strong><p class="pre">{finish.summary}</p></div>}
      {steps.length > 0 && <p><a class="button small" href={address(`/tasks/${task.id}/trajectory`)} download={task.id + ".jsonl"}><Icon name="down" /> All of it, as JSON lines</a></p>}
    </div>
  );
}
