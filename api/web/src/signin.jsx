// signin.jsx - a session from a token.
import { useEffect, useRef } from "preact/hooks";
import { get, post } from "./api.js";
import { useAction, useTitle } from "./hooks.js";
import { Command, Field, Trouble } from "./ui.jsx";

// The first to come is an admin of a server that has nothing yet: he is led through the set-up.
async function isFirstRun() {
  const me = await get("/me");
  return me.role === "admin" && (await get("/repositories?limit=1")).items.length === 0;
}

export function SignIn({ onEntered }) {
  const form = useRef(null);
  useTitle("Sign in");
  useEffect(() => { form.current.elements[0].focus(); }, []);
  const enter = useAction(async e => {
    e.preventDefault();
    await post("/session", { token: form.current.elements[0].value.trim() });
    await onEntered(await isFirstRun().catch(() => false));
  });
  return (
    <div class="narrow">
      <h1>Sign in</h1>
      <form ref={form} onSubmit={enter.run}>
        <Field label="Token" hint="It begins with pj_. The page keeps a session, never the token." type="password" autoComplete="current-password" required />
        <Trouble error={enter.error} />
        <button class="main" disabled={enter.busy}>Sign in</button>
      </form>
      <details>
        <summary>Where do I get a token?</summary>
        <p>An admin makes one for each user, under Admin → Users. Who has one makes more under his email at the top, or with <code>pj</code>.</p>
        <p>On a new server <code>pj-api</code> prints a set-up token once, or takes the one in <code>PJ_BOOTSTRAP_TOKEN</code>. After <code>./dev up</code>:</p>
        <Command text="cat .pj/token" />
        <p>An admin who lost his gets a new one on the server:</p>
        <Command text="pj admin reset-token EMAIL" />
      </details>
    </div>
  );
}
