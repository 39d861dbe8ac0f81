// app.js - who is signed in, and which page the address names.
import { h, notice } from "./dom.js";
import { call, get, post, whenSignedOut } from "./api.js";
import { taskList } from "./list.js";
import { newTask } from "./new.js";
import { taskPage } from "./task.js";
import { repositories } from "./repositories.js";
import { admin } from "./admin.js";

const pages = [
  [/^\/$/, taskList],
  [/^\/new$/, newTask],
  [/^\/tasks\/([0-9a-z]+)$/, taskPage],
  [/^\/repositories$/, repositories],
  [/^\/admin$/, admin],
];

const main = document.getElementById("main"), top = document.getElementById("top");
const state = { me: null, leave: null };

export function go(path) {
  history.pushState(null, "", path);
  show();
}

function header() {
  if (!state.me) {
    top.replaceChildren(h("strong", null, "Pithy Jaunt"));
    return;
  }
  const link = (path, name) => h("a", { href: path, "aria-current": location.pathname === path ? "page" : null }, name);
  top.replaceChildren(h("strong", null, "Pithy Jaunt"),
    h("nav", { "aria-label": "Main" }, link("/", "Tasks"), link("/new", "New task"), link("/repositories", "Repositories"),
      state.me.role === "admin" && link("/admin", "Admin"), h("a", { href: "/docs" }, "API")),
    h("span", { class: "soft hide-small" }, state.me.email),
    h("button", { onclick: signOut }, "Sign out"));
}

async function signOut() {
  await call("DELETE", "/session").catch(() => {});
  state.me = null;
  show();
}

function signIn() {
  const token = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, size: 44 });
  const error = h("p", { role: "alert" });
  const form = h("form", {
    onsubmit: async e => {
      e.preventDefault();
      try {
        await post("/session", { token: token.value.trim() });
        await begin();
      } catch (problem) {
        error.textContent = problem.message;
      }
    },
  }, h("label", { htmlFor: "token" }, "Token"), token, " ", h("button", { class: "main" }, "Sign in"), error);
  main.replaceChildren(h("h1", null, "Sign in"), form,
    h("p", { class: "soft" }, "The first admin's token was printed when the server started for the first time (./dev up keeps it in .pj/token). ",
      "Other users get theirs from an admin."));
  token.focus();
}

async function show() {
  if (state.leave) state.leave();
  state.leave = null;
  header();
  if (!state.me) return signIn();
  for (const [pattern, page] of pages) {
    const match = pattern.exec(location.pathname);
    if (!match) continue;
    try {
      state.leave = await page(main, { me: state.me, go }, ...match.slice(1)) || null;
    } catch (problem) {
      if (problem.status !== 401) main.replaceChildren(h("h1", null, problem.status === 404 ? "There is nothing here" : "That did not work"), h("p", null, problem.message));
    }
    return;
  }
  main.replaceChildren(h("h1", null, "There is nothing here"), h("p", null, h("a", { href: "/" }, "All tasks")));
}

async function begin() {
  try {
    state.me = await get("/me");
  } catch (problem) {
    state.me = null;
    if (problem.status !== 401) notice(problem.message);
  }
  await show();
}

whenSignedOut(() => { if (state.me) { state.me = null; show(); } });
window.addEventListener("popstate", show);
document.addEventListener("click", e => {
  const a = e.target.closest("a");
  if (!a || e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || a.target || a.hasAttribute("download") || a.origin !== location.origin) return;
  if (!pages.some(([pattern]) => pattern.test(a.pathname)) || (a.hash && a.pathname === location.pathname)) return;
  e.preventDefault();
  go(a.pathname + a.search + a.hash);
  main.focus();
});
begin();
