// log_store.js - the log of a task in memory: what is stored comes in pages of 1000, then the stream goes on from there.
//
// Entries are ordered by attempt and n; one that is not newer than the last is dropped, one that skips numbers counts as a gap. At
// most MAX entries are kept, the newest; `dropped` says how many older ones went.
import { address, get } from "./api.js";
import { openStream } from "./stream.js";

const PAGE = 1000, MAX = 250000, DROP = 25000;

export class LogStore {
  #taskId; #on; #last; #listeners; #stream; #closed; #pending;

  constructor(taskId, { onStatus = () => {}, onEnd = () => {} } = {}) {
    this.#taskId = taskId;
    this.#on = { status: onStatus, end: onEnd };
    this.entries = [];
    this.dropped = 0;
    this.missing = 0;
    this.#last = null; // the newest entry
    this.state = "loading"; // loading, live, lost, ended, failed
    this.error = null;
    this.stages = []; // {attempt, stage, at}: when each began
    this.#listeners = new Set();
    this.#stream = null;
    this.#closed = false;
  }

  listen(f) {
    this.#listeners.add(f);
    return () => this.#listeners.delete(f);
  }

  // what: "more" (entries were added), "cut" (old ones went), "state"
  #tell(what) {
    for (const f of this.#listeners) f(what);
  }

  #setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.#tell("state");
  }

  #add(entry) {
    const last = this.#last;
    if (last && (entry.attempt < last.attempt || (entry.attempt === last.attempt && entry.n <= last.n))) return;
    const expected = last && last.attempt === entry.attempt ? last.n + 1 : 1;
    if (entry.n > expected) {
      entry.gap = entry.n - expected;
      this.missing += entry.gap;
    }
    if (entry.stage) this.stages.push({ attempt: entry.attempt, stage: entry.stage, at: entry.ts });
    this.#last = entry;
    this.entries.push(entry);
  }

  #addAll(list) {
    for (const entry of list) this.#add(entry);
    if (this.entries.length > MAX) {
      const n = this.entries.length - MAX + DROP;
      this.entries.splice(0, n);
      this.dropped += n;
      this.#tell("cut");
    } else if (list.length) {
      this.#tell("more");
    }
  }

  async open() {
    this.error = null;
    this.#setState("loading");
    try {
      for (;;) {
        const page = await get(`/tasks/${this.#taskId}/logs?limit=${PAGE}${this.#last ? "&after=" + this.#last.id : ""}`);
        if (this.#closed) return;
        this.#addAll(page.items);
        if (!page.nextCursor) break;
      }
      this.follow();
    } catch (error) {
      this.error = error;
      this.#setState("failed");
    }
  }

  // Goes on where the last entry ended: after the load, and when an ended task runs again.
  follow() {
    if (this.#closed || this.#stream) return;
    this.#stream = openStream(last => {
      const after = this.#last ? this.#last.id : last;
      return address(`/tasks/${this.#taskId}/logs/stream${after ? "?after=" + after : ""}`);
    }, {
      onState: state => { if (this.#stream) this.#setState(state === "open" ? "live" : "lost"); },
      events: {
        log: entry => this.#queue(entry),
        status: task => this.#on.status(task),
        end: task => {
          this.#stream.close();
          this.#stream = null;
          this.#flush();
          this.#setState("ended");
          this.#on.end(task);
        },
      },
    });
  }

  // Events of one turn are told about once.
  #queue(entry) {
    if (!this.#pending) {
      this.#pending = [];
      queueMicrotask(() => this.#flush());
    }
    this.#pending.push(entry);
  }

  #flush() {
    const list = this.#pending;
    this.#pending = null;
    if (list) this.#addAll(list);
  }

  close() {
    this.#closed = true;
    this.#stream?.close();
  }
}
