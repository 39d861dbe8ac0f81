// ui.jsx - the pieces that pages are put together from.
import { useEffect, useRef, useState } from "preact/hooks";
import { ago, exact, stageWords, statusWords } from "./format.js";
import { useAction } from "./hooks.js";

const ring = "M2.5 8a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0";
const shapes = {
  queued: ring + "M8 5v3.2l2.2 1.3", running: "M8 2.5a5.5 5.5 0 1 0 5.5 5.5", completed: "M3 8.5l3.4 3.5L13 4.5", failed: "M4 4l8 8M12 4l-8 8",
  needs_review: "M8 2.2L14.3 13.5H1.7zM8 6.5v3.2M8 11.5v.2", needs_clarification: "M5.4 5.6a2.6 2.6 0 1 1 3.7 2.6C8.3 8.7 8 9.2 8 10M8 12.8v.2", cancelled: ring + "M4.2 11.8l7.6-7.6",
  none: "M5 8h6", copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z", down: "M8 2.5v8M4.5 7.5L8 11l3.5-3.5M3 13.5h10",
};

export const Icon = ({ name, spin }) => (
  <svg class={spin ? "icon spin" : "icon"} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.7"
    stroke-linecap="round" stroke-linejoin="round"><path d={shapes[name]} /></svg>
);

export function Status({ task }) {
  const stage = task.status === "running" && task.stage ? stageWords[task.stage] : null;
  return (
    <span class={"status s-" + task.status}>
      <Icon name={task.status} spin={task.status === "running"} />
      {stage || statusWords[task.status] || task.status}
    </span>
  );
}

export const Badge = ({ kind, children }) => <span class={"badge b-" + (kind || "plain")}>{children}</span>;

export const Time = ({ at }) => at ? <time dateTime={at} title={exact(at)}>{ago(at)}</time> : "–";

export function Facts({ rows }) {
  return (
    <dl class="facts">
      {rows.filter(Boolean).map(([name, value, wide]) => (
        <div key={name} class={wide ? "full" : null}><dt>{name}</dt><dd>{value === null || value === undefined || value === "" ? "–" : value}</dd></div>
      ))}
    </dl>
  );
}

// What went wrong, with what to do about it.
export function Trouble({ error, title, again }) {
  if (!error) return null;
  return (
    <div class="panel bad" role="alert">
      {title && <strong>{title}</strong>}
      <p>{error.detail || error.message}</p>
      {error.errors?.length > 0 && <ul>{error.errors.map(e => <li key={e.field}><code>{e.field}</code> {e.detail}</li>)}</ul>}
      {error.remedy && <p><strong>What to do: </strong>{error.remedy}</p>}
      {again && <p><button type="button" onClick={again}>Try again</button></p>}
    </div>
  );
}

export const Loading = () => <p class="soft" role="status">Loading…</p>;

export function Empty({ title, children }) {
  return <div class="empty"><h2>{title}</h2>{children}</div>;
}

export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // The clipboard is closed to a page without TLS; a selection can still be copied.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function Copy({ text, label = "Copy", small }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 2000);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button type="button" class={small ? "small" : null} onClick={async () => { await copyText(typeof text === "function" ? text() : text); setDone(true); }}>
      <Icon name={done ? "completed" : "copy"} /> <span aria-live="polite">{done ? "Copied" : label}</span>
    </button>
  );
}

export const Command = ({ text }) => <div class="command"><code tabIndex={0}>{text}</code><Copy text={text} small /></div>;

export function Secret({ title, value, children }) {
  const box = useRef(null);
  useEffect(() => { box.current.focus(); }, [value]);
  return (
    <div class="panel good" ref={box} tabIndex={-1} role="status">
      <strong>{title}</strong>
      <div class="command"><code data-secret>{value}</code><Copy text={value} small /></div>
      {children}
    </div>
  );
}

// A labelled control: as "input", "textarea" or, with options [[value, word], …], a select. `pair` stands beside it.
let ids = 0;
const useId = () => useState(() => "id" + ++ids)[0];

export function Field({ label, hint, error, as: As = "input", options, pair, class: cls = "full", ...rest }) {
  const id = useId(), about = hint || error ? id + "-about" : null;
  const props = { id, "aria-describedby": about, "aria-invalid": error ? "true" : null, class: cls, ...rest };
  const control = options ? <select {...props}>{options.map(([value, word]) => <option key={value} value={value}>{word ?? value}</option>)}</select> : <As {...props} />;
  return (
    <div class="field">
      <label htmlFor={id}>{label}</label>
      {pair ? <div class="pair">{control}{pair}</div> : control}
      {about && <p id={about} class={error ? "fault" : "soft"}>{error || hint}</p>}
    </div>
  );
}

// What the server said about the field of that name, or about a part of it.
export const faultOf = (error, name) => error?.errors?.find(e => e.field === name || e.field.startsWith(name + "."))?.detail;

export const Check = ({ label, ...rest }) => <label class="inline"><input type="checkbox" {...rest} /> {label}</label>;

// Tabs as the authoring practices want them: arrows move, one is in the tab order.
export function Tabs({ tabs, current, onChange, label }) {
  const row = useRef(null);
  const move = (e, i) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    const to = e.key === "Home" ? 0 : e.key === "End" ? tabs.length - 1 : step ? (i + step + tabs.length) % tabs.length : -1;
    if (to < 0) return;
    e.preventDefault();
    onChange(tabs[to][0]);
    row.current.children[to].focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={row}>
      {tabs.map(([key, word, count], i) => (
        <button key={key} type="button" role="tab" id={"tab-" + key} aria-selected={key === current ? "true" : "false"} aria-controls="tab-panel"
          tabIndex={key === current ? 0 : -1} onClick={() => onChange(key)} onKeyDown={e => move(e, i)}>
          {word}{count !== undefined && count !== null && <span class="count">{count}</span>}
        </button>
      ))}
    </div>
  );
}

// A button that asks first. The dialog is the browser's own element: it keeps the focus inside and closes on Escape.
export function Ask({ label, title, text, action, kind = "danger", verb = label, small, children }) {
  const dialog = useRef(null), id = useId();
  const act = useAction(async e => {
    e.preventDefault();
    await action();
    dialog.current?.close();
  });
  return (
    <>
      <button type="button" class={kind + (small ? " small" : "")} onClick={() => dialog.current.showModal()}>{label}</button>
      <dialog ref={dialog} aria-labelledby={id}>
        <form onSubmit={act.run}>
          <h2 id={id}>{title}</h2>
          {text && <p>{text}</p>}
          {children}
          <Trouble error={act.error} />
          <div class="bar end"><button type="button" onClick={() => dialog.current.close()}>Close</button><button class={"main " + kind} disabled={act.busy}>{verb}</button></div>
        </form>
      </dialog>
    </>
  );
}

// A table that scrolls inside itself on a narrow screen; columns: [name, className].
export function Table({ columns, rows, empty, label }) {
  return (
    <div class="wide" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead><tr>{columns.map(([name, cls]) => <th key={name} scope="col" class={cls}>{name || <span class="unseen">Actions</span>}</th>)}</tr></thead>
        <tbody>
          {rows.map(row => <tr key={row.key}>{row.cells.map((cell, i) => <td key={i} class={columns[i][1]}>{cell ?? "–"}</td>)}</tr>)}
          {rows.length === 0 && <tr><td colSpan={columns.length} class="soft">{empty}</td></tr>}
        </tbody>
      </table>
    </div>
  );
}

// Short messages that go by themselves, read out by screen readers.
let tell = () => {};
export const notice = text => tell(text);

export function Notices() {
  const [list, setList] = useState([]);
  useEffect(() => {
    let last = 0;
    tell = text => {
      const id = ++last;
      setList(old => [...old.slice(-3), { id, text }]);
      setTimeout(() => setList(old => old.filter(n => n.id !== id)), 8000);
    };
    return () => { tell = () => {}; };
  }, []);
  return <div class="notices" role="status" aria-live="polite">{list.map(n => <div key={n.id}>{n.text}</div>)}</div>;
}
