// app.jsx - who is signed in, which page the address names, and what stands around every page.
import "./theme.js";
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, remove, whenSignedOut } from "./api.js";
import { useLocation, followLinks, go } from "./router.js";
import { useTitle } from "./hooks.js";
import { setTheme, theme, themes } from "./theme.js";
import { Loading, Notices, Trouble } from "./ui.jsx";
import { SignIn } from "./signin.jsx";
import { Setup } from "./setup.jsx";
import { TaskList } from "./list.jsx";
import { NewTask } from "./new.jsx";
import { TaskPage } from "./task.jsx";
import { Repositories } from "./repositories.jsx";
import { RepositoryPage } from "./repository.jsx";
import { Admin } from "./admin.jsx";
import { Account } from "./account.jsx";

// Each address is also a row of routes.c.
const pages = [
  [/^\/$/, TaskList],
  [/^\/new$/, NewTask],
  [/^\/tasks\/([0-9a-z]+)$/, TaskPage],
  [/^\/repositories$/, Repositories],
  [/^\/repositories\/([0-9a-z]+)$/, RepositoryPage],
  [/^\/account$/, Account],
  [/^\/setup$/, Setup],
  [/^\/admin$/, Admin],
];

const find = path => {
  for (const [pattern, Page] of pages) {
    const match = pattern.exec(path);
    if (match) return { Page, id: match[1] };
  }
  return null;
};

function ThemeChoice() {
  const [now, set] = useState(theme);
  return (
    <label class="inline theme"><span class="unseen">Colours</span>
      <select value={now} onChange={e => { setTheme(e.target.value); set(e.target.value); }}>
        {themes.map(t => <option key={t} value={t}>{t[0].toUpperCase() + t.slice(1)}</option>)}
      </select>
    </label>
  );
}

function Header({ me, path, onSignOut }) {
  const link = (to, name) => <a href={to} aria-current={to === "/" ? (path === "/" || path.startsWith("/tasks/") ? "page" : undefined) : path.startsWith(to) ? "page" : undefined}>{name}</a>;
  return (
    <header>
      <a class="brand" href="/"><img src="/assets/icon.svg" alt="" width="24" height="24" />Pithy Jaunt</a>
      {me && <nav aria-label="Main">
        {link("/", "Tasks")}{link("/new", "New task")}{link("/repositories", "Repositories")}{me.role === "admin" && link("/admin", "Admin")}<a href="/docs">API</a>
      </nav>}
      <div class="who">
        <ThemeChoice />
        {me && <><a href="/account" title="Your tokens" aria-current={path === "/account" ? "page" : undefined}>{me.email}</a><button onClick={onSignOut}>Sign out</button></>}
      </div>
    </header>
  );
}

function Nothing() {
  useTitle("Nothing here");
  return <><h1>There is nothing here</h1><p>The address may be old, or it belongs to somebody else. <a href="/">All tasks</a></p></>;
}

function App() {
  const at = useLocation();
  const [me, setMe] = useState(undefined); // undefined: not known yet; null: nobody
  const [error, setError] = useState(null);
  const main = useRef(null), first = useRef(true);

  const begin = async () => {
    setError(null);
    try {
      setMe(await get("/me"));
    } catch (problem) {
      setMe(null);
      if (problem.status !== 401) setError(problem);
    }
  };
  useEffect(() => {
    whenSignedOut(() => setMe(null));
    begin();
  }, []);
  // After a move within the page the focus is where the new content begins, as after a load.
  useEffect(() => {
    if (first.current) first.current = false;
    else { main.current.focus({ preventScroll: true }); window.scrollTo(0, 0); }
  }, [at.path]);

  const signOut = async () => {
    await remove("/session").catch(() => {});
    setMe(null);
  };
  const entered = async firstRun => {
    await begin();
    if (firstRun) go("/setup");
  };
  const found = find(at.path);
  let content;
  if (me === undefined) content = <Loading />;
  else if (error) content = <><h1>Pithy Jaunt</h1><Trouble error={error} again={begin} /></>;
  else if (me === null) content = <SignIn onEntered={entered} />;
  else if (!found) content = <Nothing />;
  else content = <found.Page key={at.path} me={me} at={at} id={found.id} refresh={begin} Nothing={Nothing} />;
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <Header me={me} path={at.path} onSignOut={signOut} />
      <main id="main" tabIndex={-1} ref={main}>{content}</main>
      <Notices />
    </>
  );
}

followLinks(path => find(path) !== null);
const root = document.getElementById("app");
root.replaceChildren();
render(<App />, root);
