// ansi.js - terminal colours as elements: the 16, the 256 and true colour, bold, dim, italic, underlined, reversed, struck. All
// other control sequences are dropped. Colours are set through the DOM, never through markup, as the content policy wants it.

const sequence = /\x1b\[([0-9;:]*)m|\x1b\[[0-9;?>=!]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\^_]|[\x00-\x08\x0a-\x1f\x7f]/g;
const levels = [0, 95, 135, 175, 215, 255];
// Set 1, set 2, …: what 22, 23, 24 … end.
const ends = { 22: [1, 2], 23: [3], 24: [4], 27: [7], 29: [9] };

// What a terminal would show of a line: a carriage return begins it anew, tabs go to the next eighth column.
function settle(text) {
  if (text.includes("\r")) {
    const parts = text.replace(/\r+$/, "").split("\r");
    text = parts[parts.length - 1];
  }
  if (!text.includes("\t")) return text;
  let column = 0;
  return text.replace(/\x1b\[[0-9;:]*m|\t|[^\t\x1b]+/g, piece => {
    if (piece[0] === "\x1b") return piece;
    if (piece !== "\t") { column += piece.length; return piece; }
    const n = 8 - column % 8;
    column += n;
    return " ".repeat(n);
  });
}

export function plain(text) {
  text = settle(text);
  return /[\x00-\x1f\x7f]/.test(text) ? text.replace(sequence, "") : text;
}

function indexed(n) {
  if (n < 16) return n;
  if (n > 231) return gray(8 + (n - 232) * 10);
  n -= 16;
  return `rgb(${levels[Math.floor(n / 36)]},${levels[Math.floor(n / 6) % 6]},${levels[n % 6]})`;
}
const gray = v => `rgb(${v},${v},${v})`;
const byte = n => Number.isInteger(n) && n >= 0 && n <= 255;

// 38 and 48: the colour, and how many codes it took.
function extended(codes, i) {
  if (codes[i + 1] === 5 && byte(codes[i + 2])) return [indexed(codes[i + 2]), 2];
  if (codes[i + 1] === 2 && byte(codes[i + 2]) && byte(codes[i + 3]) && byte(codes[i + 4])) return [`rgb(${codes[i + 2]},${codes[i + 3]},${codes[i + 4]})`, 4];
  return [null, codes.length];
}

function apply(style, text) {
  const codes = (text || "0").split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i];
    if (c === 0) { style.on.clear(); style.fg = style.bg = null; }
    else if ([1, 2, 3, 4, 7, 9].includes(c)) style.on.add(c);
    else if (ends[c]) ends[c].forEach(x => style.on.delete(x));
    else if (c >= 30 && c <= 37) style.fg = c - 30;
    else if (c >= 90 && c <= 97) style.fg = c - 82;
    else if (c >= 40 && c <= 47) style.bg = c - 40;
    else if (c >= 100 && c <= 107) style.bg = c - 92;
    else if (c === 39) style.fg = null;
    else if (c === 49) style.bg = null;
    else if (c === 38 || c === 48) {
      const [colour, used] = extended(codes, i);
      if (colour !== null) style[c === 38 ? "fg" : "bg"] = colour;
      i += used;
    }
  }
}

// A line as pieces of one style each: [{text, on: [1, …], fg, bg}]; fg and bg are 0-15, "rgb(…)" or null.
export function pieces(line) {
  const out = [], style = { on: new Set(), fg: null, bg: null };
  const push = part => { if (part) out.push({ text: part, on: [...style.on], fg: style.fg, bg: style.bg }); };
  let at = 0;
  line = settle(line);
  for (const m of line.matchAll(sequence)) {
    push(line.slice(at, m.index));
    at = m.index + m[0].length;
    if (m[1] !== undefined) apply(style, m[1]);
  }
  push(line.slice(at));
  return out;
}

function element(piece) {
  if (!piece.on.length && piece.fg === null && piece.bg === null) return document.createTextNode(piece.text);
  const span = document.createElement("span"), reverse = piece.on.includes(7);
  const fg = reverse ? piece.bg ?? "back" : piece.fg, bg = reverse ? piece.fg ?? "front" : piece.bg;
  span.className = piece.on.filter(n => n !== 7).map(n => "a" + n).join(" ");
  for (const [value, prefix, property] of [[fg, "f", "color"], [bg, "g", "backgroundColor"]]) {
    if (value === null) continue;
    if (typeof value === "string" && value.startsWith("rgb")) span.style[property] = value;
    else span.classList.add(prefix + value);
  }
  span.append(piece.text);
  return span;
}

// The line's nodes; where `query` (lower case) occurs, the text is marked.
export function ansi(line, query) {
  const list = pieces(line), nodes = [];
  for (const piece of list) {
    const low = query ? piece.text.toLowerCase() : "";
    if (!query || !low.includes(query)) { nodes.push(element(piece)); continue; }
    let at = 0;
    for (let hit = low.indexOf(query); hit >= 0; hit = low.indexOf(query, at)) {
      if (hit > at) nodes.push(element({ ...piece, text: piece.text.slice(at, hit) }));
      const mark = document.createElement("mark");
      mark.append(piece.text.slice(hit, hit + query.length));
      nodes.push(mark);
      at = hit + query.length;
    }
    if (at < piece.text.length) nodes.push(element({ ...piece, text: piece.text.slice(at) }));
  }
  return nodes;
}
