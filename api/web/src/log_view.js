// log_view.js - a log on the screen. Only the rows in sight exist, as plain elements: 100,000 lines scroll like a hundred.
//
// Rows have a fixed height unless lines wrap; then a row's height follows from its length, since the type is monospaced, and the
// tops are kept as running sums.
import { ansi, plain } from "./ansi.js";
import { duration, plural } from "./format.js";
import { LogRows } from "./log_rows.js";

const ROW = 20, SPARE = 30;
// What the server writes at the end of a line that was too long.
const CUT = / \[(?:line )?cut\]$/;

const make = (tag, cls, text) => {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  if (text !== undefined) e.textContent = text;
  return e;
};

// Columns of a text: what is outside the narrow scripts takes two.
function columns(text) {
  let n = text.length;
  if (/[^\x20-\x7e]/.test(text)) for (const c of text) if (c.codePointAt(0) > 0x2e7f) n += 1;
  return n;
}

export class LogView {
  #resize; #forget; #frame; #onScroll; #onClick; #store; #tops; #space; #shown; #goal; #height; #columns; #own; #drawn;

  constructor(box, store, { onChange }) {
    this.box = box;
    this.#store = store;
    this.onChange = onChange;
    this.rows = new LogRows(store);
    this.times = "off"; // off, time, relative
    this.wrap = false;
    this.following = true;
    this.hit = -1; // index into hits
    this.from = this.to = null; // chosen lines, ids
    this.#space = make("div", "space");
    box.replaceChildren(this.#space);
    this.#shown = new Map();
    this.#tops = [0];
    this.#goal = null; // an entry to show as soon as it is there
    box.addEventListener("scroll", this.#onScroll = () => this.#scrolled(), { passive: true });
    box.addEventListener("click", this.#onClick = e => this.#clicked(e));
    this.#resize = new ResizeObserver(() => { this.#measure(); this.#later(); });
    this.#resize.observe(box);
    this.#forget = store.listen(what => this.#changed(what));
    this.#later();
  }

  close() {
    this.#forget();
    this.#resize.disconnect();
    this.box.removeEventListener("scroll", this.#onScroll);
    this.box.removeEventListener("click", this.#onClick);
    cancelAnimationFrame(this.#frame);
  }

  /* ---- what is asked of it ---- */

  setFilter(options) {
    const anchor = this.anchor();
    this.rows.set(options);
    this.hit = -1;
    this.#relayout();
    if (options.query) this.next(1, anchor);
    else if (anchor && !this.following) this.#show(anchor, false);
    this.#later();
  }

  setTimes(times) {
    this.times = times;
    this.#measure();
    this.#relayout();
  }

  setWrap(wrap) {
    const anchor = this.anchor();
    this.wrap = wrap;
    this.box.classList.toggle("wrap", wrap);
    this.#measure();
    this.#relayout();
    if (anchor && !this.following) this.#show(anchor, false);
    this.#later();
  }

  foldAll(on) { this.rows.foldAll(on); this.#relayout(); }

  follow() {
    this.following = true;
    this.#later();
  }

  // The next or the previous place where the query occurs; the first one at or below `id`.
  next(step, id) {
    const { hits, rows } = this.rows;
    if (!hits.length) { this.#later(); return; }
    if (this.hit < 0) {
      const at = id ? this.rows.find(id) : 0;
      const k = hits.findIndex(i => i >= at);
      this.hit = k < 0 ? 0 : k;
    } else {
      this.hit = (this.hit + step + hits.length) % hits.length;
    }
    this.#show(rows[hits[this.hit]].entry.id, true);
    this.#repaint();
  }

  // Choose a line or a range "1-5" or "1-5:1-9" and bring it to sight, now or when it has come.
  choose(range, visit = true) {
    const [from, to] = range.split(":");
    this.from = from;
    this.to = to || from;
    this.#goal = visit ? from : null;
    if (visit) this.following = false;
    this.#visit();
    this.#repaint();
  }

  // Move the choice by lines; the first move begins at the top of what is in sight.
  move(step, extend) {
    const list = this.rows.rows, at = this.to ? this.rows.find(this.to) : -1;
    let i = at < 0 ? this.#first() : at + step;
    while (i >= 0 && i < list.length && !list[i].entry) i += step;
    if (i < 0 || i >= list.length) return;
    const id = list[i].entry.id;
    this.from = extend && this.from ? this.from : id;
    this.to = id;
    this.#show(id, true);
    this.#repaint();
  }

  range() {
    if (!this.from) return "";
    const key = id => id.split("-").map(Number), [a, b] = [key(this.from), key(this.to)];
    const flip = b[0] < a[0] || (b[0] === a[0] && b[1] < a[1]);
    const [low, high] = flip ? [this.to, this.from] : [this.from, this.to];
    return low === high ? low : low + ":" + high;
  }

  // The chosen lines, or all that the filter shows.
  copy() {
    const [low, high] = this.range().split(":");
    let list = this.rows.rows;
    if (low) {
      const a = this.rows.find(low), b = this.rows.find(high || low);
      if (a >= 0 && b >= 0) list = list.slice(a, b + 1);
    }
    return list.filter(r => r.entry).map(r => plain(r.entry.message)).join("\n") + "\n";
  }

  /* ---- places ---- */

  #measure() {
    this.#height = this.box.clientHeight;
    if (!this.wrap) return;
    // A line of 100 characters says how wide one is, and what number and time beside it take.
    const probe = make("div", "row line probe"), text = make("span", "", "0".repeat(100)), sides = [make("a", "n", "1"), ...(this.times === "off" ? [] : [make("span", "t", "1")])];
    probe.append(...sides, text);
    this.#space.append(probe);
    const taken = sides.reduce((n, e) => n + e.offsetWidth, 16), now = Math.max(10, Math.floor((this.box.clientWidth - taken) / (text.getBoundingClientRect().width / 100)));
    probe.remove();
    if (now !== this.#columns) {
      this.#columns = now;
      this.#tops = [0];
    }
  }

  #heightOf(i) {
    const row = this.rows.rows[i];
    if (!this.wrap || !row.entry) return ROW;
    return ROW * Math.max(1, Math.ceil(columns(plain(row.entry.message)) / this.#columns));
  }

  #sums() {
    const tops = this.#tops, count = this.rows.rows.length;
    for (let i = tops.length - 1; i < count; i++) tops.push(tops[i] + this.#heightOf(i));
  }

  #topOf(i) { return this.wrap ? this.#tops[i] : i * ROW; }
  #total() { return this.wrap ? this.#tops[this.rows.rows.length] : this.rows.rows.length * ROW; }

  #rowAt(y) {
    if (!this.wrap) return Math.floor(y / ROW);
    let low = 0, high = this.rows.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tops[middle + 1] <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #first() { return Math.max(0, Math.min(this.rows.rows.length - 1, this.#rowAt(this.box.scrollTop))); }

  // The entry at the top of what is in sight: it stays there when rows above come or go.
  anchor() {
    const list = this.rows.rows;
    for (let i = this.#first(); i < list.length; i++) if (list[i]?.entry) return list[i].entry.id;
    return null;
  }

  #show(id, middle) {
    let i = this.rows.find(id);
    if (i < 0) return false;
    if (this.wrap) this.#sums();
    this.#space.style.height = this.#total() + "px";
    const top = this.#topOf(i), view = this.box.clientHeight;
    this.following = false;
    if (!middle) this.box.scrollTop = top;
    else if (top < this.box.scrollTop + ROW || top > this.box.scrollTop + view - 3 * ROW) this.box.scrollTop = Math.max(0, top - view / 3);
    this.#later();
    return true;
  }

  #visit() {
    if (!this.#goal) return;
    const i = this.rows.find(this.#goal);
    if (i >= 0) {
      const id = this.#goal;
      this.#goal = null;
      this.#show(id, true);
    }
  }

  /* ---- events ---- */

  #changed(what) {
    if (what === "more") {
      this.rows.extend();
      this.#visit();
    } else if (what === "cut") {
      const anchor = this.anchor();
      this.rows.rebuild();
      this.#relayout();
      if (anchor && !this.following) this.#show(anchor, false);
    }
    this.#later();
  }

  // Scrolling up ends following, reaching the end begins it again; our own scrolling is told apart by where it went.
  #scrolled() {
    if (this.box.scrollTop !== this.#own) {
      const room = this.#total() - this.#height;
      if (room > 0) this.following = room - this.box.scrollTop < 2 * ROW;
    }
    this.#later();
  }

  #clicked(e) {
    const toggle = e.target.closest("[data-fold]");
    if (toggle) {
      const anchor = this.anchor();
      this.rows.fold(toggle.dataset.fold);
      this.#relayout();
      if (anchor && !this.following) this.#show(anchor, false);
      this.#later();
      return;
    }
    const line = e.target.closest("a.n");
    if (!line) return;
    e.preventDefault();
    const id = line.dataset.id;
    this.from = e.shiftKey && this.from ? this.from : id;
    this.to = id;
    this.#repaint();
    this.onChange();
    this.box.dispatchEvent(new CustomEvent("pj-choose", { detail: this.range() }));
  }

  /* ---- drawing ---- */

  #relayout() {
    this.#tops = [0];
    this.#repaint();
  }

  #repaint() {
    for (const node of this.#shown.values()) node.remove();
    this.#shown.clear();
    this.#later();
  }

  #later() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => { this.#frame = 0; this.#draw(); });
  }

  #draw() {
    const list = this.rows.rows;
    if (this.#height === undefined) this.#measure();
    if (this.wrap) this.#sums();
    const total = this.#total();
    if (total !== this.#drawn) { this.#space.style.height = total + "px"; this.#drawn = total; }
    if (this.following) {
      this.#own = Math.max(0, total - this.#height);
      if (this.box.scrollTop !== this.#own) this.box.scrollTop = this.#own;
      this.#own = this.box.scrollTop;
    }
    const top = this.box.scrollTop;
    const from = Math.max(0, this.#rowAt(top) - SPARE), to = Math.min(list.length, this.#rowAt(top + this.#height) + SPARE);
    for (const [i, node] of this.#shown) {
      if (i >= from && i < to) continue;
      node.remove();
      this.#shown.delete(i);
    }
    const added = document.createDocumentFragment();
    for (let i = from; i < to; i++) {
      const old = this.#shown.get(i);
      if (old) {
        if (list[i].kind === "step") this.#label(old, list[i]);
        else if (list[i].group) this.#count(old, list[i].group);
        continue;
      }
      const node = this.#element(i);
      this.#shown.set(i, node);
      added.append(node);
    }
    this.#space.append(added);
    this.onChange();
  }

  #label(node, step) {
    node.lastChild.textContent = `${plural(step.count, "line")} · ${duration(Date.parse(step.to) - Date.parse(step.from))}`;
  }

  #count(node, group) {
    const button = node.querySelector("button");
    if (!group.count) return;
    button.hidden = false;
    button.textContent = (this.rows.folded.has(group.key) ? "▸ " : "▾ ") + group.count;
  }

  #element(i) {
    const row = this.rows.rows[i], node = make("div", "row " + row.kind);
    node.style.top = this.#topOf(i) + "px";
    if (row.kind === "step") {
      const shut = this.rows.folded.has(row.key) && !this.rows.options.query;
      const button = make("button", "fold", (shut ? "▸ " : "▾ ") + row.label);
      button.type = "button";
      button.dataset.fold = row.key;
      button.setAttribute("aria-expanded", String(!shut));
      node.append(button, make("span", "t", ""));
      this.#label(node, row);
      return node;
    }
    if (row.kind === "gap") { node.append(`${plural(row.count, "line")} missing: not kept by the server`); return node; }
    if (row.kind === "cut") { node.append(`${plural(row.count, "earlier line")} not kept on this page: download the log for all of it`); return node; }
    return this.#line(node, row, i);
  }

  #line(node, row, i) {
    const e = row.entry, number = make("a", "n", e.id);
    number.href = "#L" + e.id;
    number.dataset.id = e.id;
    number.tabIndex = -1;
    node.dataset.id = e.id;
    if (this.wrap) node.style.height = this.#heightOf(i) + "px";
    if (i === this.rows.hits[this.hit]) node.classList.add("hit");
    if (this.#isChosen(e)) node.classList.add("chosen");
    node.append(number);
    if (this.times !== "off") node.append(make("span", "t", this.#time(e)));
    const text = make("span", "m " + (e.type === "error" || e.type === "warn" ? e.type : e.stream) + (e.type === "tool" && e.ok === false ? " error" : ""));
    text.append(...ansi(e.message.replace(CUT, ""), this.rows.options.query));
    node.append(text);
    if (CUT.test(e.message)) node.append(make("span", "flag", "line cut"));
    if (row.group) {
      const button = make("button", "fold");
      button.type = "button";
      button.hidden = true;
      button.dataset.fold = row.group.key;
      button.title = "Show or hide the output of this command";
      node.append(button);
      this.#count(node, row.group);
    }
    return node;
  }

  #isChosen(e) {
    if (!this.from) return false;
    const [low, high = low] = this.range().split(":").map(id => id.split("-").map(Number));
    const after = e.attempt > low[0] || (e.attempt === low[0] && e.n >= low[1]);
    const before = e.attempt < high[0] || (e.attempt === high[0] && e.n <= high[1]);
    return after && before;
  }

  #time(e) {
    if (this.times === "time") {
      const at = new Date(e.ts), pad = (n, w = 2) => String(n).padStart(w, "0");
      return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
    }
    const begin = this.rows.steps.find(s => s.attempt === e.attempt);
    return "+" + ((Date.parse(e.ts) - Date.parse(begin ? begin.from : e.ts)) / 1000).toFixed(3);
  }
}
