// diff.js - a unified diff, file by file; hunks that did not apply are marked (R3.2).
import { h } from "./dom.js";

export function diffView(text, view, taskId) {
  const out = [h("p", { class: "bar" }, h("span", { class: "soft" }, `${view.files.length} files, `, `+${view.files.reduce((n, f) => n + f.added, 0)} −${view.files.reduce((n, f) => n + f.removed, 0)}`),
    h("a", { class: "button", href: `/api/v1/tasks/${taskId}/patch`, download: taskId + ".diff" }, "Download"), h("code", null, `pj task patch ${taskId} | git apply`))];
  const lines = text.split("\n");
  let file = -1, pre = null, left = 0;
  for (const line of lines) {
    if (line.startsWith("diff --git ") || (left <= 0 && line.startsWith("--- ") && file < 0)) {
      file++;
      const f = view.files[file];
      pre = h("pre");
      if (f) out.push(h("section", { class: "diff" }, h("h2", null, (f.oldPath ? f.oldPath + " → " : "") + f.path, h("span", { class: "soft" }, `  +${f.added} −${f.removed}`)), pre));
      left = 0;
      continue;
    }
    if (!pre) continue;
    const at = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(line);
    if (at) {
      left = Number(at[1] ?? 1) + Number(at[2] ?? 1);
      const hunk = view.files[file] && view.files[file].hunks.find(x => x.header === line);
      pre.append(h("span", { class: hunk && hunk.rejected ? "hunk rejected" : "hunk" }, line + (hunk && hunk.rejected ? "   ← does not apply" : "")));
    } else if (left > 0) {
      const c = line[0];
      left -= c === "+" || c === "-" ? 1 : c === "\\" ? 0 : 2;
      pre.append(h("span", { class: c === "+" ? "add" : c === "-" ? "del" : null }, line || " "));
    }
  }
  return h("div", null, out);
}
