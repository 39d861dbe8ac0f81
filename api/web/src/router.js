// router.js - the address bar as state: path, query and fragment.
import { useEffect, useState } from "preact/hooks";

const listeners = new Set();
const read = () => ({ path: location.pathname, query: new URLSearchParams(location.search), hash: location.hash });
const tell = () => listeners.forEach(f => f(read()));

export function go(to, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", to);
  tell();
}

// Change members of the query; "" or null takes one away.
export function setQuery(changes, options = { replace: true }) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
  go(location.pathname + (String(query) ? "?" + query : "") + location.hash, options);
}

export function useLocation() {
  const [at, setAt] = useState(read);
  useEffect(() => {
    listeners.add(setAt);
    return () => listeners.delete(setAt);
  }, []);
  return at;
}

window.addEventListener("popstate", tell);

// A click on a link of ours moves without loading; all other clicks stay the browser's.
export function followLinks(isOurs) {
  document.addEventListener("click", e => {
    const a = e.target.closest?.("a[href]");
    if (!a || e.defaultPrevented || e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    if (a.target || a.hasAttribute("download") || a.origin !== location.origin || !isOurs(a.pathname)) return;
    if (a.hash && a.pathname === location.pathname && a.search === location.search) return;
    e.preventDefault();
    go(a.pathname + a.search + a.hash);
  });
}
