// log_rows.js - which rows a log has: entries, and between them marks for steps, gaps and what is no longer kept. Knows nothing of
// the screen. Rows are added as entries come; a change of filter or fold builds them anew.
import { plain } from "./ansi.js";
import { stageWords } from "./format.js";

const isOutput = e => e.stream === "stdout" || e.stream === "stderr";
// A command that the agent runs: its output folds beneath it.
const isCommand = e => e.stream === "agent" && e.message.startsWith("$ ");

export class LogRows {
  #store; #groups; #read; #step; #group;

  constructor(store) {
    this.#store = store;
    this.options = { query: "", stream: "", attempt: 0 };
    this.folded = new Set(); // keys of steps and groups
    this.rebuild();
  }

  set(options) {
    this.options = { ...this.options, ...options };
    this.rebuild();
  }

  fold(key, on = !this.folded.has(key)) {
    on ? this.folded.add(key) : this.folded.delete(key);
    this.rebuild();
  }

  foldAll(on) {
    this.folded.clear();
    if (on) {
      for (const step of this.steps) this.folded.add(step.key);
      for (const group of this.#groups) this.folded.add(group.key);
    }
    this.rebuild();
  }

  rebuild() {
    this.rows = [];
    this.hits = [];
    this.steps = [];
    this.#groups = [];
    this.#read = 0;
    this.#step = this.#group = null;
    if (this.#store.dropped) this.rows.push({ kind: "cut", count: this.#store.dropped });
    this.extend();
  }

  // Take in what came since; entries of steps that are folded are counted, not shown. A search opens everything.
  extend() {
    const { entries } = this.#store;
    for (; this.#read < entries.length; this.#read++) this.#take(entries[this.#read]);
  }

  #take(e) {
    const { attempt, stream, query } = this.options;
    if (attempt && e.attempt !== attempt) return;
    if (!this.#step || this.#step.attempt !== e.attempt || e.stage) {
      const stage = e.stage || null;
      this.#step = { kind: "step", key: "s" + e.id, attempt: e.attempt, stage, from: e.ts, to: e.ts, count: 0, first: !this.#step || this.#step.attempt !== e.attempt };
      this.#step.label = (this.#step.first ? `Attempt ${e.attempt}` : "") + (stage ? (this.#step.first ? " · " : "") + (stageWords[stage] || stage) : "");
      this.steps.push(this.#step);
      this.#group = null;
      this.rows.push(this.#step);
    }
    this.#step.to = e.ts;
    this.#step.count++;
    if (isCommand(e)) {
      this.#group = { key: "g" + e.id, count: 0 };
      this.#groups.push(this.#group);
    } else if (isOutput(e) && this.#group) {
      this.#group.count++;
    } else {
      this.#group = null;
    }
    const hidden = !query && (this.folded.has(this.#step.key) || (this.#group && isOutput(e) && this.folded.has(this.#group.key)));
    if (hidden || (stream && e.stream !== stream)) return;
    if (e.gap) this.rows.push({ kind: "gap", count: e.gap });
    if (query && plain(e.message).toLowerCase().includes(query)) this.hits.push(this.rows.length);
    this.rows.push({ kind: "line", entry: e, group: isCommand(e) ? this.#group : null });
  }

  // The row of an entry, or -1; rows are in order of attempt and n, marks have no place in that order.
  find(id) {
    const [attempt, n] = id.split("-").map(Number);
    let low = 0, high = this.rows.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      let k = middle;
      while (k <= high && !this.rows[k].entry) k++;
      if (k > high) { high = middle - 1; continue; }
      const e = this.rows[k].entry;
      if (e.attempt === attempt && e.n === n) return k;
      if (e.attempt < attempt || (e.attempt === attempt && e.n < n)) low = k + 1;
      else high = middle - 1;
    }
    return -1;
  }
}
