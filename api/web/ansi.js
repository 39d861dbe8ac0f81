// ansi.js - terminal colours as spans. Everything but colours and styles (SGR) is dropped.
import { h } from "./dom.js";

const sequence = /\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]/g;

export function plain(text) {
  return text.replace(sequence, "");
}

function apply(classes, codes) {
  for (const code of (codes || "0").split(";").map(Number)) {
    if (code === 0) classes.clear();
    else if (code >= 1 && code <= 4) classes.add("a" + code);
    else if (code === 22) { classes.delete("a1"); classes.delete("a2"); }
    else if (code === 23) classes.delete("a3");
    else if (code === 24) classes.delete("a4");
    else if ((code >= 30 && code <= 39) || (code >= 90 && code <= 97)) {
      for (let c = 30; c <= 37; c++) classes.delete("a" + c);
      if (code !== 39 && code !== 38) classes.add("a" + (code >= 90 ? code - 60 : code));
    }
  }
}

export function ansi(text) {
  if (!text.includes("\x1b")) return [plain(text)];
  const out = [], classes = new Set();
  let at = 0;
  const push = part => { if (part) out.push(classes.size ? h("span", { class: [...classes].join(" ") }, part) : part); };
  for (const m of text.matchAll(sequence)) {
    push(text.slice(at, m.index));
    at = m.index + m[0].length;
    if (m[1] !== undefined) apply(classes, m[1]);
  }
  push(text.slice(at));
  return out;
}
