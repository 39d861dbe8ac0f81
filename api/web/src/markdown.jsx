// markdown.jsx - the Markdown that task descriptions use, as elements: headings, paragraphs, lists, quotes, code, rules; bold,
// italic, struck, code, links. No HTML passes through, and a link goes only to http, https or mailto.

const inline = /(`+)([^`]|[^`].*?[^`])\1(?!`)|\*\*(.+?)\*\*|__(.+?)__|~~(.+?)~~|\*([^\s*](?:.*?[^\s*])?)\*|(?<![\w])_([^\s_](?:.*?[^\s_])?)_(?![\w])|\[([^\]]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s<>"')\]]+[^\s<>"')\].,;:!?])/g;

const safe = url => /^(https?:|mailto:)/i.test(url) ? url : null;

function spans(text, depth = 0) {
  const out = [];
  let at = 0;
  for (const m of depth > 8 ? [] : text.matchAll(inline)) {
    if (m.index > at) out.push(text.slice(at, m.index));
    at = m.index + m[0].length;
    const sub = s => spans(s, depth + 1);
    if (m[2] !== undefined) out.push(<code>{m[2]}</code>);
    else if (m[3] ?? m[4]) out.push(<strong>{sub(m[3] ?? m[4])}</strong>);
    else if (m[5]) out.push(<s>{sub(m[5])}</s>);
    else if (m[6] ?? m[7]) out.push(<em>{sub(m[6] ?? m[7])}</em>);
    else if (m[8]) out.push(safe(m[9]) ? <a href={m[9]} target="_blank" rel="noopener noreferrer">{sub(m[8])}</a> : m[0]);
    else out.push(<a href={m[10]} target="_blank" rel="noopener noreferrer">{m[10]}</a>);
  }
  if (at < text.length) out.push(text.slice(at));
  return out;
}

const bullet = /^( {0,3})([-*+]|\d{1,9}[.)])\s+(.*)$/;

// A list from lines[i]: deeper lines belong to the item above.
function list(lines, i) {
  const ordered = /\d/.test(bullet.exec(lines[i])[2]), items = [];
  while (i < lines.length) {
    const m = bullet.exec(lines[i]);
    if (!m || /\d/.test(m[2]) !== ordered) break;
    const width = m[0].length - m[3].length, inner = [m[3]];
    for (i++; i < lines.length && (lines[i].startsWith(" ".repeat(Math.min(width, 2))) || (lines[i] === "" && lines[i + 1]?.startsWith("  "))) ; i++)
      inner.push(lines[i].slice(Math.min(width, lines[i].length - lines[i].trimStart().length)));
    const body = blocks(inner);
    items.push(<li>{body.length === 1 && body[0].type === "p" ? body[0].props.children : body}</li>);
  }
  return [ordered ? <ol>{items}</ol> : <ul>{items}</ul>, i];
}

const ends = line => line === "" || /^(#{1,6} |```|~~~|> ?|( {0,3})([-*+]|\d{1,9}[.)])\s|( {0,3})([-*_])( *\5){2,} *$)/.test(line);

function blocks(lines) {
  const out = [];
  for (let i = 0; i < lines.length;) {
    const line = lines[i];
    let m;
    if (line.trim() === "") i++;
    else if ((m = /^(```|~~~)\s*(\S*)/.exec(line))) {
      const code = [];
      for (i++; i < lines.length && !lines[i].startsWith(m[1]); i++) code.push(lines[i]);
      i++;
      out.push(<pre tabIndex={0}><code>{code.join("\n")}</code></pre>);
    } else if ((m = /^(#{1,6}) (.*?)#*$/.exec(line))) {
      const H = "h" + Math.min(6, m[1].length + 1);
      out.push(<H>{spans(m[2].trim())}</H>);
      i++;
    } else if (/^ {0,3}([-*_])( *\1){2,} *$/.test(line)) {
      out.push(<hr />);
      i++;
    } else if (line.startsWith(">")) {
      const inner = [];
      for (; i < lines.length && lines[i].startsWith(">"); i++) inner.push(lines[i].replace(/^> ?/, ""));
      out.push(<blockquote>{blocks(inner)}</blockquote>);
    } else if (bullet.test(line)) {
      const [element, next] = list(lines, i);
      out.push(element);
      i = next;
    } else {
      const text = [line];
      for (i++; i < lines.length && !ends(lines[i]); i++) text.push(lines[i]);
      out.push(<p>{text.flatMap((t, k) => [k > 0 ? (/ {2}$/.test(text[k - 1]) ? <br /> : "\n") : null, ...spans(t)])}</p>);
    }
  }
  return out;
}

export const Markdown = ({ text }) => <div class="markdown">{blocks(text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n"))}</div>;
