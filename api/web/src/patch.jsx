// patch.jsx - the patch: its files, each hunk unified or side by side, what changed within a line, and what did not apply (R3.2).
import { useState } from "preact/hooks";
import { address, get, text } from "./api.js";
import { useLoad, useStored } from "./hooks.js";
import { plural } from "./format.js";
import { Command, Copy, Icon, Loading, Trouble } from "./ui.jsx";
import { pairUp, parseDiff } from "./diff.js";

const LARGE = 800; // lines; a longer file is shown when it is asked for

// The server lists the same files and hunks, in the same order, and knows what did not apply.
function judge(files, view) {
  return view.files.map((known, i) => {
    const file = { notes: [], hunks: [], ...files[i], name: known.path || known.oldPath, from: known.oldPath !== known.path && known.path ? known.oldPath : null, added: known.added, removed: known.removed };
    file.hunks.forEach((hunk, k) => Object.assign(hunk, { rejected: known.hunks[k]?.rejected, reason: known.hunks[k]?.reason }));
    file.rejected = file.hunks.some(h => h.rejected);
    file.rows = file.hunks.map(pairUp);
    file.size = file.hunks.reduce((n, h) => n + h.lines.length, 0);
    return file;
  });
}

const Text = ({ line }) => line.parts ? line.parts.map(([t, changed], i) => changed ? <b key={i}>{t}</b> : t) : line.text || " ";
const kinds = { "+": "add", "-": "del", " ": "same", "\\": "note" };
const Sign = ({ kind }) => <td class="sign" aria-hidden="true">{kind === " " || kind === "\\" ? "" : kind}</td>;

const Unified = ({ hunk }) => hunk.lines.map((line, i) => (
  <tr key={i} class={kinds[line.kind]}><td class="no">{line.old}</td><td class="no">{line.now}</td><Sign kind={line.kind} />
    <td class="code">{line.kind !== " " && line.kind !== "\\" && <span class="unseen">{line.kind === "+" ? "added " : "removed "}</span>}<Text line={line} /></td></tr>
));

function Half({ line, side }) {
  if (!line) return <><td class="no void" /><td class="code void" /></>;
  return <><td class={"no " + kinds[line.kind]}>{side === "old" ? line.old : line.now}</td><td class={"code " + kinds[line.kind]}><Text line={line} /></td></>;
}
const Split = ({ rows }) => rows.map(([left, right], i) => <tr key={i}><Half line={left} side="old" /><Half line={right} side="new" /></tr>);

function File({ file, split, i }) {
  const [open, setOpen] = useState(file.size <= LARGE), [all, setAll] = useState(file.size <= LARGE);
  return (
    <section class={"file" + (file.rejected ? " rejected" : "")} id={"file-" + i} aria-label={file.name}>
      <h2><button class="plain" aria-expanded={open ? "true" : "false"} onClick={() => setOpen(!open)}>{open ? "▾" : "▸"} {file.from && <>{file.from} → </>}{file.name}</button>
        <span class="counts"><ins>+{file.added}</ins> <del>−{file.removed}</del></span>
        <Copy small text={file.name} label="Path" /></h2>
      {open && file.notes.length > 0 && <p class="soft notes">{file.notes.join(" · ")}</p>}
      {open && file.binary && <p class="soft notes">A binary file: its bytes are not shown.</p>}
      {open && !all && <p class="notes">{plural(file.size, "line")} in this file. <button onClick={() => setAll(true)}>Show them</button></p>}
      {open && all && file.hunks.length > 0 && (
        <div class="code-scroll" tabIndex={0} role="region" aria-label={"Changes in " + (file.name)}>
          <table class={split ? "diff split" : "diff"}>
            {split && <colgroup><col class="no" /><col /><col class="no" /><col /></colgroup>}
            {file.hunks.map((hunk, k) => (
              <tbody key={k} class={hunk.rejected ? "rejected" : null}>
                <tr class="hunk"><td colSpan={4}>{hunk.header}{hunk.rejected && <strong> Does not apply{hunk.reason ? `: ${hunk.reason}` : ""}</strong>}</td></tr>
                {split ? <Split rows={file.rows[k]} /> : <Unified hunk={hunk} />}
              </tbody>
            ))}
          </table>
        </div>
      )}
    </section>
  );
}

// Files by folder, as they lie in the repository.
function Tree({ files }) {
  const folders = new Map();
  files.forEach((file, i) => {
    const { name } = file, cut = name.lastIndexOf("/"), folder = name.slice(0, cut + 1);
    if (!folders.has(folder)) folders.set(folder, []);
    folders.get(folder).push({ file, i, name: name.slice(cut + 1) });
  });
  return (
    <nav class="tree" aria-label="Files">
      <ul>{[...folders].map(([folder, list]) => (
        <li key={folder}>{folder && <span class="folder">{folder}</span>}
          <ul>{list.map(({ file, i, name }) => <li key={i}><a href={"#file-" + i} class={file.rejected ? "rejected" : null}>{name}</a> <span class="counts"><ins>+{file.added}</ins> <del>−{file.removed}</del></span>{file.rejected && <span class="rejected"> rejected</span>}</li>)}</ul></li>
      ))}</ul>
    </nav>
  );
}

export function Patch({ task }) {
  const [split, setSplit] = useStored("patch.split", false);
  const state = useLoad(async signal => {
    const [diff, view] = await Promise.all([text(`/tasks/${task.id}/patch`, signal), get(`/tasks/${task.id}/patch?format=json`, signal)]);
    return { files: judge(parseDiff(diff), view), diff };
  }, [task.id, task.status, task.attempt]);
  if (state.error?.code === "no_patch") return <p class="soft">{task.status === "running" ? "There is no patch yet: it is made when the agent has finished." : "This task has left no patch."}</p>;
  if (state.error) return <Trouble error={state.error} again={state.reload} />;
  if (!state.data) return <Loading />;
  const { files, diff } = state.data, rejected = files.reduce((n, f) => n + f.hunks.filter(h => h.rejected).length, 0);
  return (
    <div class="patch">
      <div class="bar tools">
        <strong>{plural(files.length, "file")}</strong><span class="counts"><ins>+{files.reduce((n, f) => n + f.added, 0)}</ins> <del>−{files.reduce((n, f) => n + f.removed, 0)}</del></span>
        {rejected > 0 && <span class="badge b-bad"><Icon name="failed" /> {plural(rejected, "hunk")} rejected</span>}
        <span class="push" />
        <div class="toggle" role="group" aria-label="Layout">
          <button class="small" aria-pressed={split ? "false" : "true"} onClick={() => setSplit(false)}>Unified</button>
          <button class="small" aria-pressed={split ? "true" : "false"} onClick={() => setSplit(true)}>Split</button>
        </div>
        <Copy small text={diff} />
        <a class="button small" href={address(`/tasks/${task.id}/patch`)} download={task.id + ".diff"}><Icon name="down" /> Download</a>
      </div>
      <div class="apply"><span class="soft">In a clone of the repository:</span><Command text={`pj task patch ${task.id} | git apply`} /></div>
      <div class="with-tree"><Tree files={files} /><div>{files.map((file, i) => <File key={i} file={file} split={split} i={i} />)}</div></div>
    </div>
  );
}
