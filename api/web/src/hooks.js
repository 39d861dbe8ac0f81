// hooks.js - what pages share: a read with its state, a clock, a stored choice, the title.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

// The result of load(signal), again whenever a member of deps changes or reload() is called; the old data stays until the new came.
export function useLoad(load, deps) {
  const [state, setState] = useState({ data: undefined, error: null });
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound(n => n + 1), []);
  useEffect(() => {
    const abort = new AbortController();
    Promise.resolve(load(abort.signal)).then(
      data => { if (!abort.signal.aborted) setState({ data, error: null }); },
      error => { if (!abort.signal.aborted) setState(old => ({ data: old.data, error })); });
    return () => abort.abort();
  }, [...deps, round]);
  const set = data => setState({ data, error: null });
  return { ...state, reload, set };
}

// Draw again every second while `on`.
export function useTick(on) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => tick(n => n + 1), 1000);
    return () => clearInterval(timer);
  }, [on]);
}

export function useStored(name, initial) {
  const [value, setValue] = useState(() => { try { return JSON.parse(localStorage.getItem("pj." + name)) ?? initial; } catch { return initial; } });
  const set = next => {
    setValue(next);
    try { localStorage.setItem("pj." + name, JSON.stringify(next)); } catch { /* private mode: the choice lasts as long as the page */ }
  };
  return [value, set];
}

export function useTitle(title) {
  useEffect(() => { document.title = title ? `${title} · Pithy Jaunt` : "Pithy Jaunt"; }, [title]);
}

// An action with its state: busy while it runs, error when it failed.
export function useAction(action) {
  const [state, setState] = useState({ busy: false, error: null });
  const alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);
  const run = async (...args) => {
    setState({ busy: true, error: null });
    try {
      const result = await action(...args);
      if (alive.current) setState({ busy: false, error: null });
      return result;
    } catch (error) {
      if (alive.current) setState({ busy: false, error });
      return undefined;
    }
  };
  return { ...state, run };
}
