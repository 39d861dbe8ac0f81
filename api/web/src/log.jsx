// log.jsx - the log with its tools: search, filter, folding, times, wrap, copy, link, download.
import { useEffect, useRef, useState } from "preact/hooks";
import { address } from "./api.js";
import { useStored } from "./hooks.js";
import { number, plural } from "./format.js";
import { Check, Copy, copyText, Icon, notice, Trouble } from "./ui.jsx";
import { LogView } from "./log_view.js";

const streams = [["", "All streams"], ["agent", "Agent"], ["system", "System"], ["stdout", "Output"], ["stderr", "Errors"]];
const states = { loading: "Loading", live: "Live", lost: "Connection lost, trying again", ended: "Ended", failed: "Not loaded" };

export function Log({ store, task, attempt, onAttempt }) {
  const box = useRef(null), view = useRef(null), search = useRef(null);
  const [seen, setSeen] = useState({ rows: 0, hits: 0, hit: -1, following: true, state: store.state, missing: 0, chosen: "" });
  const [query, setQuery] = useState(""), [stream, setStream] = useState("");
  const [times, setTimes] = useStored("log.times", "off"), [wrap, setWrap] = useStored("log.wrap", false);

  useEffect(() => {
    const v = new LogView(box.current, store, {
      onChange: () => setSeen(old => {
        const now = { rows: store.entries.length, hits: v.rows.hits.length, hit: v.hit, following: v.following, state: store.state, missing: store.missing, chosen: v.range() };
        return Object.keys(now).every(k => now[k] === old[k]) ? old : now;
      }),
    });
    view.current = v;
    const link = () => { if (location.hash.startsWith("#L")) v.choose(location.hash.slice(2)); };
    const chosen = e => history.replaceState(null, "", "#L" + e.detail);
    link();
    window.addEventListener("hashchange", link);
    box.current.addEventListener("pj-choose", chosen);
    return () => { window.removeEventListener("hashchange", link); v.close(); };
  }, [store]);
  useEffect(() => view.current.setTimes(times), [times]);
  useEffect(() => view.current.setWrap(wrap), [wrap]);
  useEffect(() => view.current.setFilter({ query: query.toLowerCase(), stream, attempt }), [query, stream, attempt]);

  const link = async () => {
    const v = view.current, range = v.range() || v.anchor();
    if (!range) return;
    v.choose(range, false);
    history.replaceState(null, "", "#L" + range);
    await copyText(location.href);
    notice(`The link to line ${range.replace(":", " to ")} is copied.`);
  };
  const keys = {
    "/": () => search.current.focus(), n: () => view.current.next(1), N: () => view.current.next(-1), f: () => view.current.follow(),
    j: e => view.current.move(1, e.shiftKey), k: e => view.current.move(-1, e.shiftKey), J: () => view.current.move(1, true), K: () => view.current.move(-1, true),
    w: () => setWrap(!wrap), y: link,
  };
  const onKey = e => {
    if (e.ctrlKey || e.metaKey || e.altKey || !keys[e.key]) return;
    e.preventDefault();
    keys[e.key](e);
  };
  return (
    <div class="logbox">
      <div class="bar tools" role="toolbar" aria-label="Log">
        <div class="search">
          <input ref={search} type="search" placeholder="Search the log" aria-label="Search the log" value={query} onInput={e => setQuery(e.target.value)}
            onKeyDown={e => { if (e.key === "Enter") { e.preventDefault(); view.current.next(e.shiftKey ? -1 : 1); } else if (e.key === "Escape") { setQuery(""); box.current.focus(); } }} />
          {query && <>
            <span class="hits" role="status">{seen.hits ? `${number(seen.hit + 1)} of ${number(seen.hits)}` : "none"}</span>
            <button class="small" aria-label="Previous find" disabled={!seen.hits} onClick={() => view.current.next(-1)}>↑</button>
            <button class="small" aria-label="Next find" disabled={!seen.hits} onClick={() => view.current.next(1)}>↓</button>
          </>}
        </div>
        <select aria-label="Stream" value={stream} onChange={e => setStream(e.target.value)}>{streams.map(([v, w]) => <option key={v} value={v}>{w}</option>)}</select>
        {task.attempt > 1 && <select aria-label="Attempt" value={attempt} onChange={e => onAttempt(Number(e.target.value))}>
          <option value="0">All attempts</option>{Array.from({ length: task.attempt }, (_, i) => <option key={i} value={i + 1}>Attempt {i + 1}</option>)}</select>}
        <select aria-label="Times" value={times} onChange={e => setTimes(e.target.value)}><option value="off">No times</option><option value="time">Time of day</option><option value="relative">Since start</option></select>
        <Check label="Wrap" checked={wrap} onChange={e => setWrap(e.target.checked)} />
        <span class="push" />
        <button class="small" onClick={() => view.current.foldAll(true)}>Fold all</button>
        <button class="small" onClick={() => view.current.foldAll(false)}>Unfold all</button>
        <button class="small" onClick={link}>Link</button>
        <Copy small text={() => view.current.copy()} label={seen.chosen ? "Copy lines" : "Copy"} />
        <a class="button small" href={address(`/tasks/${task.id}/logs?download=1${attempt ? "&attempt=" + attempt : ""}`)} download=""><Icon name="down" /> Download</a>
      </div>
      {store.error && <Trouble error={store.error} title={store.error.status === 410 ? "The log is no longer kept" : "The log could not be loaded"}
        again={store.error.status === 410 ? null : () => store.open()} />}
      <div class="logframe">
        <div class="log" ref={box} tabIndex={0} role="region" aria-label="Log lines" onKeyDown={onKey} data-state={seen.state} data-lines={seen.rows} />
        {!seen.following && seen.rows > 0 && <button class="jump" onClick={() => view.current.follow()}><Icon name="down" /> {seen.state === "ended" ? "To the end" : "Follow"}</button>}
      </div>
      <p class="soft foot"><span class={"dot d-" + seen.state} /><span role="status">{states[seen.state]}</span> · {plural(seen.rows, "line")}{seen.missing > 0 && ` · ${plural(seen.missing, "line")} missing`}
        <span class="hide-small"> · in the log: <kbd>/</kbd> search, <kbd>n</kbd> <kbd>N</kbd> finds, <kbd>j</kbd> <kbd>k</kbd> choose lines, <kbd>y</kbd> link, <kbd>f</kbd> follow, <kbd>w</kbd> wrap</span></p>
    </div>
  );
}
