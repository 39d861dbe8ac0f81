// units.mjs - the pages' modules that know no browser: terminal colours, diffs, the rows of a log.
import assert from "node:assert/strict";
import test from "node:test";
import { pieces, plain } from "../../api/web/src/ansi.js";
import { pairUp, parseDiff, wordDiff } from "../../api/web/src/diff.js";
import { LogRows } from "../../api/web/src/log_rows.js";

// Random, and the same every time.
function dice(seed) {
  return n => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor(seed / 2 ** 32 * n);
  };
}

const first = line => pieces(line)[0];

test("colours of all kinds, and what ends them", () => {
  assert.deepEqual(pieces("\x1b[1;31mred\x1b[22m\x1b[39m plain"), [{ text: "red", on: [1], fg: 1, bg: null }, { text: " plain", on: [], fg: null, bg: null }]);
  assert.equal(first("\x1b[95mx").fg, 13);
  assert.equal(first("\x1b[103mx").bg, 11);
  assert.equal(first("\x1b[38;5;9mx").fg, 9);
  assert.equal(first("\x1b[38;5;196mx").fg, "rgb(255,0,0)");
  assert.equal(first("\x1b[48;5;232mx").bg, "rgb(8,8,8)");
  assert.equal(first("\x1b[38:2:10:20:30mx").fg, "rgb(10,20,30)");
  assert.deepEqual(first("\x1b[38;2;1;2;3;4mx"), { text: "x", on: [4], fg: "rgb(1,2,3)", bg: null });
  assert.equal(first("\x1b[38;5;999mx").fg, null, "no such colour");
});

test("what is no colour leaves nothing behind", () => {
  assert.equal(plain("\x1b[2Ka\x1b[10;4Hb\x1b]0;title\x07c\x1b]8;;http://x\x1b\\d\x00\x07e"), "abcde");
  assert.equal(plain("10 %\r50 %\r100 %\r"), "100 %");
  assert.equal(plain("a\tb"), "a       b");
  assert.equal(plain("\x1b[31ma\x1b[0m\tb"), "a       b", "colours take no column");
});

test("random bytes are never more than text", () => {
  const roll = dice(1), alphabet = ["\x1b[", "\x1b]", "m", ";", "38", "5", "2", "48", "1", "31", "\r", "\t", "é", "漢", "x", " ", "\x07", "\x1b\\", "K", "?", "\x00", "\x9b"];
  for (let i = 0; i < 20000; i++) {
    const line = Array.from({ length: roll(20) }, () => alphabet[roll(alphabet.length)]).join(""), list = pieces(line);
    for (const p of list) {
      assert.doesNotMatch(p.text, /[\x00-\x08\x0a-\x1f\x7f]/, JSON.stringify(line));
      for (const c of [p.fg, p.bg]) assert.ok(c === null || (Number.isInteger(c) && c >= 0 && c < 16) || /^rgb\(\d{1,3},\d{1,3},\d{1,3}\)$/.test(c), JSON.stringify(line));
    }
    assert.equal(list.map(p => p.text).join(""), plain(line), JSON.stringify(line));
  }
});

test("a diff's files, hunks and line numbers", () => {
  const [a, b, c] = parseDiff(["diff --git a/x b/x", "index 1..2", "--- a/x", "+++ b/x", "@@ -3,3 +3,3 @@ f", " same", "-old", "+++ new", " end", "@@ -20 +20,2 @@", " l", "+m",
    "\\ No newline at end of file", "diff --git a/y b/y", "new file mode 100644", "Binary files /dev/null and b/y differ", "diff --git a/z b/z", "--- a/z", "+++ /dev/null", "@@ -1 +0,0 @@", "--- gone", ""].join("\n"));
  assert.deepEqual(a.hunks[0].lines, [{ kind: " ", text: "same", old: 3, now: 3 }, { kind: "-", text: "old", old: 4 }, { kind: "+", text: "++ new", now: 4 }, { kind: " ", text: "end", old: 5, now: 5 }]);
  assert.equal(a.hunks[1].lines[2].kind, "\\");
  assert.ok(b.binary && b.notes.includes("new file mode 100644"));
  assert.deepEqual(c.hunks[0].lines, [{ kind: "-", text: "-- gone", old: 1 }]);
  assert.equal(parseDiff("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n").length, 2, "without git's own lines");
});

test("words that differ", () => {
  assert.deepEqual(wordDiff("return 'hello'", "return 'hello, world'"), [[["return 'hello'", false]], [["return 'hello", false], [", world", true], ["'", false]]]);
  assert.deepEqual(wordDiff("the_greeting = good morning;", "the_greeting = fine evening;")[0].filter(p => p[1]), [["good morning", true]], "a blank between changes is part of them");
  assert.ok(wordDiff("something", "entirely else").every(list => list.length === 1 && !list[0][1]), "lines of nothing in common");
});

test("the parts of a word diff are the lines", () => {
  const roll = dice(2), alphabet = ["a", "bb", " ", "  ", "(", ")", "é", "1", ";", "\t"];
  for (let i = 0; i < 5000; i++) {
    const line = () => Array.from({ length: roll(30) }, () => alphabet[roll(alphabet.length)]).join(""), [before, after] = [line(), line()];
    const [left, right] = wordDiff(before, after);
    assert.equal(left.map(p => p[0]).join(""), before);
    assert.equal(right.map(p => p[0]).join(""), after);
  }
});

test("random text is never more than a diff", () => {
  const roll = dice(3), alphabet = ["diff --git a/x b/x", "--- a/x", "+++ b/x", "@@ -1,2 +1,2 @@", "@@ -1 +1 @@", " a", "-b", "+c", "\\ No newline at end of file", "", "Binary files", "@@ -9999999,9 +1 @@"];
  for (let i = 0; i < 5000; i++) {
    const text = Array.from({ length: roll(25) }, () => alphabet[roll(alphabet.length)]).join("\n");
    for (const file of parseDiff(text))
      for (const hunk of file.hunks) for (const [left, right] of pairUp(hunk)) assert.ok(left || right);
  }
});

// A store as LogRows sees it.
const entry = (attempt, n, more) => ({ id: `${attempt}-${n}`, attempt, n, ts: new Date(1e12 + n).toISOString(), stream: "stdout", type: "info", message: `line ${n}`, ...more });
const store = entries => ({ entries, dropped: 0 });
const kinds = rows => rows.rows.map(r => r.kind === "line" ? r.entry.id : r.kind);

test("rows: steps, gaps, what is gone, and folding", () => {
  const s = store([entry(1, 1, { stage: "preparing", stream: "system" }), entry(1, 2, { stream: "agent", message: "$ make" }), entry(1, 3), entry(1, 4), entry(1, 7, { stage: "checking", gap: 2 }), entry(2, 1)]);
  s.dropped = 5;
  const rows = new LogRows(s);
  assert.deepEqual(kinds(rows), ["cut", "step", "1-1", "1-2", "1-3", "1-4", "step", "gap", "1-7", "step", "2-1"]);
  rows.fold("g1-2");
  assert.deepEqual(kinds(rows), ["cut", "step", "1-1", "1-2", "step", "gap", "1-7", "step", "2-1"], "a command's output folds beneath it");
  assert.equal(rows.rows[3].group.count, 2);
  rows.set({ query: "line 4" });
  assert.equal(rows.rows[rows.hits[0]].entry.id, "1-4", "a search opens what is folded");
  rows.set({ query: "" });
  rows.foldAll(true);
  assert.deepEqual(kinds(rows), ["cut", "step", "step", "step"]);
  s.entries.push(entry(2, 2));
  rows.extend();
  assert.equal(rows.rows[3].count, 2, "a folded step counts on");
  rows.foldAll(false);
  rows.set({ stream: "agent", attempt: 1 });
  assert.deepEqual(kinds(rows), ["cut", "step", "1-2", "step"]);
});

test("every entry is found in its row", () => {
  const roll = dice(4), entries = [];
  for (let attempt = 1; attempt <= 3; attempt++) for (let n = 1; n <= 400; n++) entries.push(entry(attempt, n, roll(10) === 0 ? { stage: "generating" } : {}));
  const rows = new LogRows(store(entries));
  for (const e of entries) assert.equal(rows.rows[rows.find(e.id)].entry, e);
  for (const id of ["1-0", "1-401", "4-1", "0-5"]) assert.equal(rows.find(id), -1);
});
