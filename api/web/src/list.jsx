// list.jsx - the task list, live: rows change in place, new tasks are announced and never push what one is reading.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { address, all, get, post } from "./api.js";
import { setQuery } from "./router.js";
import { useLoad, useTick, useTitle } from "./hooks.js";
import { openStream } from "./stream.js";
import { money, plural, ran, repositoryName, statusWords, ticking, waited } from "./format.js";
import { Command, Empty, Loading, notice, Status, Time, Trouble } from "./ui.jsx";

const PAGE = 50;
const periods = { "1h": ["Last hour", 3600e3], "24h": ["Last 24 hours", 86400e3], "7d": ["Last 7 days", 7 * 86400e3], "30d": ["Last 30 days", 30 * 86400e3] };
const cancellable = t => t.status === "queued" || t.status === "running";
const retryable = t => ["failed", "needs_review", "cancelled"].includes(t.status) || (t.status === "completed" && t.pr?.state === "open");

// One page of tasks for the filter in the address. The list is newest first, so a period ends it.
async function page(query, cursor, signal) {
  const ask = new URLSearchParams({ limit: PAGE });
  for (const name of ["status", "repositoryId", "q", "owner"]) if (query.get(name)) ask.set(name, query.get(name));
  if (cursor) ask.set("cursor", cursor);
  const answer = await get("/tasks?" + ask, signal);
  const period = periods[query.get("since")];
  if (!period) return answer;
  const from = Date.now() - period[1], items = answer.items.filter(t => Date.parse(t.createdAt) >= from);
  return { items, nextCursor: items.length < answer.items.length ? null : answer.nextCursor };
}

function Filters({ query, repositories }) {
  const typed = useRef(null);
  const [text, setText] = useState(query.get("q") || "");
  useEffect(() => setText(query.get("q") || ""), [query.get("q")]);
  const search = value => {
    setText(value);
    clearTimeout(typed.current);
    typed.current = setTimeout(() => setQuery({ q: value.trim() }), 300);
  };
  const select = (name, label, options) => (
    <select aria-label={label} value={query.get(name) || ""} onChange={e => setQuery({ [name]: e.target.value })}>
      <option value="">{label}: all</option>
      {options.map(([value, word]) => <option key={value} value={value}>{word}</option>)}
    </select>
  );
  const active = ["status", "repositoryId", "q", "owner", "since"].some(name => query.get(name));
  return (
    <form class="bar filters" role="search" onSubmit={e => { e.preventDefault(); setQuery({ q: text.trim() }); }}>
      {select("status", "State", Object.entries(statusWords))}
      {select("repositoryId", "Repository", repositories.map(r => [r.id, repositoryName(r)]))}
      {select("since", "Time", Object.entries(periods).map(([key, [word]]) => [key, word]))}
      <input type="search" class="grow" placeholder="Search title and description" aria-label="Search" value={text} onInput={e => search(e.target.value)} />
      {active && <button type="button" onClick={() => setQuery({ status: "", repositoryId: "", q: "", owner: "", since: "" })}>Clear</button>}
    </form>
  );
}

function Row({ task, name, chosen, onChoose }) {
  return (
    <tr class={chosen ? "chosen" : null} data-task={task.id}>
      <td class="pick"><input type="checkbox" aria-label={"Choose " + task.title} checked={chosen} onChange={e => onChoose(task.id, e.target.checked)} /></td>
      <td class="state"><Status task={task} /></td>
      <td class="title"><a href={"/tasks/" + task.id}>{task.title}</a>
        <span class="soft sub">{name}{task.attempt > 1 && ` · attempt ${task.attempt}`}{task.prUrl && ` · pull request ${task.pr?.number ? "#" + task.pr.number : ""}`}</span></td>
      <td class="num" data-label="Waited">{waited(task) === null ? "–" : ticking(waited(task))}</td>
      <td class="num" data-label="Ran">{ran(task) === null ? "–" : ticking(ran(task))}</td>
      <td class="num" data-label="Cost">{money(task.usage.costUsd)}</td>
      <td class="num" data-label="Made"><Time at={task.createdAt} /></td>
    </tr>
  );
}

function Bulk({ tasks, chosen, clear }) {
  const [busy, setBusy] = useState(false);
  const list = tasks.filter(t => chosen.has(t.id));
  const run = async (verb, fits, done) => {
    setBusy(true);
    const fit = list.filter(fits), refused = [];
    // A few at a time: a hundred choices are no burst.
    for (let i = 0; i < fit.length; i += 5) {
      const results = await Promise.allSettled(fit.slice(i, i + 5).map(t => post(`/tasks/${t.id}/${verb}`, verb === "retry" ? { execute: true } : {})));
      refused.push(...results.filter(r => r.status === "rejected"));
    }
    const skipped = list.length - fit.length;
    notice(`${done}: ${fit.length - refused.length}.${skipped ? ` Left alone, as their state does not allow it: ${skipped}.` : ""}${refused.length ? ` Refused: ${refused.length} (${refused[0].reason.message}).` : ""}`);
    setBusy(false);
    clear();
  };
  if (list.length === 0) return null;
  return (
    <div class="bar bulk" role="toolbar" aria-label="Chosen tasks">
      <strong>{plural(list.length, "task")} chosen</strong>
      <button disabled={busy || !list.some(cancellable)} onClick={() => run("cancel", cancellable, "Cancelled")}>Cancel</button>
      <button disabled={busy || !list.some(retryable)} onClick={() => run("retry", retryable, "Started again")}>Retry</button>
      <button onClick={clear}>Choose none</button>
    </div>
  );
}

function First({ repositories }) {
  return (
    <Empty title="No task yet">
      {repositories.length === 0
        ? <p>A task works on a repository. <a href="/repositories">Connect one</a>, or go through the <a href="/setup">set-up</a>.</p>
        : <p>Say what should change in a repository, and get a pull request. <a href="/new">Make the first one here</a>, or on the command line:</p>}
      {repositories.length > 0 && <Command text={`pj run ${repositoryName(repositories[0])} "Say hello in the README" --follow`} />}
    </Empty>
  );
}

// Changes of tasks as the server tells them. Patches rows in place; counts what is new.
function useLive(tasks, setTasks, setNews, reload) {
  const known = useRef(new Map()), [state, setState] = useState("loading");
  known.current = tasks;
  useEffect(() => {
    const asking = new Set();
    const refresh = async id => {
      if (asking.has(id)) return;
      asking.add(id);
      const task = await get("/tasks/" + id).catch(() => null);
      asking.delete(id);
      setTasks(old => {
        if (!old.has(id)) return old;
        const next = new Map(old);
        task ? next.set(id, task) : next.delete(id);
        return next;
      });
    };
    const on = change => {
      const task = known.current.get(change.id);
      if (!task) {
        const newest = known.current.keys().next().value;
        if (!newest || change.id > newest) setNews(old => new Set(old).add(change.id));
        return;
      }
      setTasks(old => new Map(old).set(change.id, { ...old.get(change.id), status: change.status, stage: change.stage, attempt: change.attempt }));
      if (change.status !== task.status || change.attempt !== task.attempt || task.stage === "waiting") refresh(change.id);
    };
    const stream = openStream(last => address("/events" + (last ? "?after=" + last : "")), {
      events: { status: on, reset: reload },
      // What changed between the list and the stream is in neither: at the first opening the list is read again.
      onState: now => setState(old => { if (old === "loading") reload(); return now; }),
    });
    return () => stream.close();
  }, []);
  return state;
}

export function TaskList({ at }) {
  useTitle("Tasks");
  const { query } = at, filter = ["status", "repositoryId", "q", "owner", "since"].map(n => query.get(n) || "").join("\n");
  const repositories = useLoad(() => all("/repositories"), []);
  const [tasks, setTasks] = useState(new Map());
  const [news, setNews] = useState(new Set());
  const [chosen, setChosen] = useState(new Set());
  const [cursor, setCursor] = useState(null);
  const first = useLoad(async signal => {
    const answer = await page(query, null, signal);
    setTasks(new Map(answer.items.map(t => [t.id, t])));
    setCursor(answer.nextCursor);
    setNews(new Set());
    return true;
  }, [filter]);
  useEffect(() => setChosen(new Set()), [filter]);
  const live = useLive(tasks, setTasks, setNews, first.reload);
  useTick([...tasks.values()].some(t => t.status === "running"));

  const names = useMemo(() => new Map((repositories.data || []).map(r => [r.id, repositoryName(r)])), [repositories.data]);
  const list = [...tasks.values()];
  const more = async () => {
    try {
      const answer = await page(query, cursor);
      setTasks(old => new Map([...old, ...answer.items.map(t => [t.id, t])]));
      setCursor(answer.nextCursor);
    } catch (problem) {
      notice(problem.message);
    }
  };
  const choose = (id, on) => setChosen(old => {
    const next = new Set(old);
    on ? next.add(id) : next.delete(id);
    return next;
  });
  const everyone = list.length > 0 && list.every(t => chosen.has(t.id));

  return (
    <>
      <div class="head"><h1>Tasks</h1><a class="button main" href="/new">New task</a></div>
      <Filters query={query} repositories={repositories.data || []} />
      <Bulk tasks={list} chosen={chosen} clear={() => setChosen(new Set())} />
      <Trouble error={first.error} again={first.reload} />
      {live === "lost" && <p class="panel warn" role="status">The connection is lost. It is tried again; until then this list stands still.</p>}
      <div aria-live="polite">{news.size > 0 && <p class="news"><button onClick={first.reload}>{plural(news.size, "new task")}: show</button></p>}</div>
      {!first.data && !first.error && <Loading />}
      {first.data && list.length === 0 && !news.size && (filter.trim()
        ? <Empty title="No task fits"><p>Nothing matches these filters. <button class="plain" onClick={() => setQuery({ status: "", repositoryId: "", q: "", owner: "", since: "" })}>Show all tasks</button></p></Empty>
        : <First repositories={repositories.data || []} />)}
      {list.length > 0 && (
        <table class="tasks" data-live={live}>
          <thead><tr>
            <th scope="col" class="pick"><input type="checkbox" aria-label="Choose all shown" checked={everyone} onChange={e => setChosen(new Set(e.target.checked ? list.map(t => t.id) : []))} /></th>
            <th scope="col">State</th><th scope="col" class="title">Task</th><th scope="col" class="num">Waited</th><th scope="col" class="num">Ran</th><th scope="col" class="num">Cost</th><th scope="col" class="num">Made</th>
          </tr></thead>
          <tbody>{list.map(t => <Row key={t.id} task={t} name={names.get(t.repositoryId) || "–"} chosen={chosen.has(t.id)} onChoose={choose} />)}</tbody>
        </table>
      )}
      {cursor && <p class="more"><button onClick={more}>Older tasks</button></p>}
    </>
  );
}
