// diff.js - a unified diff as data, and which words differ between two lines.

// One entry a file, in order: {notes, binary, hunks: [{header, lines: [{kind: " +-\\", text, old, now}]}]}. What the files are called
// the server says.
export function parseDiff(text) {
  const files = [];
  let file = null, hunk = null, left = [0, 0], at = [0, 0];
  const begin = () => { file = { notes: [], hunks: [] }; files.push(file); hunk = null; };
  for (const line of text.split("\n")) {
    const kind = line[0] ?? " ";
    if (hunk && kind === "\\") { hunk.lines.push({ kind, text: line.slice(2) }); continue; }
    if (hunk && (left[0] > 0 || left[1] > 0) && "+- ".includes(kind)) {
      const entry = { kind, text: line.slice(1) };
      if (kind !== "+") { entry.old = at[0]++; left[0]--; }
      if (kind !== "-") { entry.now = at[1]++; left[1]--; }
      hunk.lines.push(entry);
      continue;
    }
    const m = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (line.startsWith("diff --git ") || (line.startsWith("--- ") && (!file || file.hunks.length))) begin();
    else if (m && file) {
      left = [Number(m[2] ?? 1), Number(m[4] ?? 1)];
      at = [Number(m[1]), Number(m[3])];
      hunk = { header: line, lines: [] };
      file.hunks.push(hunk);
    } else if (file && /^(new file|deleted file|old|new) mode|^similarity /.test(line)) file.notes.push(line);
    else if (file && /^(Binary files|GIT binary patch)/.test(line)) file.binary = true;
  }
  return files;
}

const words = text => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || [];

// The parts of two lines that differ: [[text, changed], …] for each. Lines of little in common are wholly changed; long ones are
// not compared.
export function wordDiff(before, after) {
  const a = words(before), b = words(after), whole = [[[before, false]], [[after, false]]];
  if (a.length * b.length > 40000) return whole;
  const width = b.length + 1, table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
  const left = [], right = [], put = (list, text, changed) => {
    const last = list[list.length - 1];
    if (last && last[1] === changed) last[0] += text;
    else list.push([text, changed]);
  };
  let i = 0, j = 0, same = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      if (a[i].trim()) same += a[i].length;
      put(left, a[i++], false);
      put(right, b[j++], false);
    } else if (j >= b.length || (i < a.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) put(left, a[i++], true);
    else put(right, b[j++], true);
  }
  return same * 3 < Math.max(before.trim().length, after.trim().length) ? whole : [left, right].map(joined);
}

// A blank between two changes is part of them.
const joined = parts => parts.reduce((list, [text, changed], i) => {
  const last = list[list.length - 1];
  if (last?.[1] && (changed || (!text.trim() && parts[i + 1]?.[1]))) last[0] += text;
  else list.push([text, changed]);
  return list;
}, []);

// Pairs removed lines with the added ones that follow them, and compares each pair by words: the hunk's lines get `parts`. Returns
// the rows of a split view: [left, right], either may be null.
export function pairUp(hunk) {
  const rows = [];
  for (let i = 0; i < hunk.lines.length;) {
    const line = hunk.lines[i];
    if (line.kind === " ") { rows.push([line, line]); i++; continue; }
    if (line.kind === "\\") { rows.push([line, line]); i++; continue; }
    const gone = [], come = [];
    while (hunk.lines[i]?.kind === "-") { gone.push(hunk.lines[i++]); if (hunk.lines[i]?.kind === "\\") i++; }
    while (hunk.lines[i]?.kind === "+") { come.push(hunk.lines[i++]); if (hunk.lines[i]?.kind === "\\") i++; }
    for (let k = 0; k < Math.max(gone.length, come.length); k++) {
      const [left, right] = [gone[k] || null, come[k] || null];
      if (left && right && !left.parts) [left.parts, right.parts] = wordDiff(left.text, right.text);
      rows.push([left, right]);
    }
  }
  return rows;
}
