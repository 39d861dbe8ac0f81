// log.js - the log of a task as it is written. Only the rows in sight exist: 100,000 lines scroll like a hundred.
import { h } from "./dom.js";
import { ansi, plain } from "./ansi.js";

const ROW = 20, SPARE = 20;

export function logView(taskId, { onStatus, onEnd }) {
  const all = [];
  let shown = all, follow = true, times = false, query = "", streams = null, hit = -1, pending = false, gaps = 0;

  const space = h("div", { class: "space" });
  const box = h("div", { class: "log", tabIndex: 0, role: "log", "aria-label": "Log", "aria-live": "off", onscroll });
  box.append(space);
  const count = h("span", { class: "soft" });
  const jump = h("button", { onclick: () => { follow = true; draw(); } }, "Follow");
  const search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search in the log", oninput: e => { query = e.target.value.toLowerCase(); narrow(); }, onkeydown: e => { if (e.key === "Enter") nextHit(e.shiftKey ? -1 : 1); } });
  const stream = h("select", { "aria-label": "Stream", onchange: e => { streams = e.target.value || null; narrow(); } }, [["", "All streams"], ["agent", "Agent"], ["system", "System"], ["stdout", "Output"], ["stderr", "Errors"]].map(([v, w]) => h("option", { value: v }, w)));
  const clock = h("label", { class: "inline" }, h("input", { type: "checkbox", onchange: e => { times = e.target.checked; draw(true); } }), "Times");
  const bar = h("div", { class: "bar" }, search, stream, clock, jump, h("a", { class: "button", href: `/api/v1/tasks/${taskId}/logs?download=1`, download: "" }, "Download"), count);

  const matches = e => !query || plain(e.message).toLowerCase().includes(query);

  function narrow() {
    shown = streams ? all.filter(e => e.stream === streams) : all;
    hit = -1;
    follow = follow && !query;
    if (query) nextHit(1);
    draw(true);
  }

  function nextHit(step) {
    if (!query || !shown.length) return;
    for (let i = 1; i <= shown.length; i++) {
      const k = (hit + step * i + shown.length * 2) % shown.length;
      if (matches(shown[k])) {
        hit = k;
        follow = false;
        box.scrollTop = Math.max(0, k * ROW - box.clientHeight / 2);
        draw(true);
        return;
      }
    }
  }

  function row(i) {
    const e = shown[i], mark = e.type === "error" || e.type === "warn" ? e.type : e.stream;
    return h("div", { class: "row" + (i === hit || location.hash === "#L" + e.id ? " hit" : ""), style: `top:${i * ROW}px` },
      h("a", { class: "n", href: "#L" + e.id, id: "L" + e.id }, e.id),
      times && h("span", { class: "t" }, e.ts.slice(11, 23)),
      h("span", { class: mark }, ansi(e.message)));
  }

  let drawn = { from: -1, to: -1, n: -1 };
  function draw(force) {
    pending = false;
    space.style.height = shown.length * ROW + "px";
    if (follow) box.scrollTop = shown.length * ROW;
    const from = Math.max(0, Math.floor(box.scrollTop / ROW) - SPARE), to = Math.min(shown.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + SPARE);
    if (force || from !== drawn.from || to !== drawn.to) {
      const rows = [];
      for (let i = from; i < to; i++) rows.push(row(i));
      space.replaceChildren(...rows);
      drawn = { from, to };
    }
    count.textContent = `${shown.length.toLocaleString()} lines` + (query ? ` · ${shown.filter(matches).length.toLocaleString()} found` : "") + (gaps ? ` · ${gaps} missing` : "");
    jump.disabled = follow;
  }
  const later = force => { if (!pending) { pending = true; requestAnimationFrame(() => draw(force)); } };
  function onscroll() {
    const bottom = box.scrollTop + box.clientHeight >= shown.length * ROW - 2 * ROW;
    if (!bottom && follow && drawn.to >= 0 && box.matches(":hover, :focus")) follow = false;
    else if (bottom) follow = follow || !query;
    later();
  }

  const source = new EventSource(`/api/v1/tasks/${taskId}/logs/stream`);
  source.addEventListener("log", event => {
    const e = JSON.parse(event.data), before = all[all.length - 1];
    if (before && before.attempt === e.attempt && e.n !== before.n + 1) gaps += e.n - before.n - 1;
    all.push(e);
    if (streams && e.stream === streams) shown.push(e);
    later();
  });
  source.addEventListener("status", event => onStatus(JSON.parse(event.data)));
  source.addEventListener("end", () => { source.close(); later(true); onEnd(); });
  requestAnimationFrame(() => {
    if (location.hash.startsWith("#L")) {
      follow = false;
      setTimeout(() => {
        const i = shown.findIndex(e => "#L" + e.id === location.hash);
        if (i >= 0) { box.scrollTop = Math.max(0, i * ROW - 200); draw(true); }
      }, 600);
    }
  });
  return { element: h("div", null, bar, box), close: () => source.close() };
}
