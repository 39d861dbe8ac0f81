// repositories.js - what is connected, and connecting more.
import { h, notice, time } from "./dom.js";
import { call, get, post } from "./api.js";

export async function repositories(main, { go }) {
  document.title = "Repositories · Pithy Jaunt";
  const list = (await get("/repositories?limit=200")).items;
  const secret = h("div");
  const again = () => go("/repositories");

  function showSecret(name, value) {
    secret.replaceChildren(h("div", { class: "panel" }, h("strong", null, `Webhook secret of ${name}, shown this once`), h("p", { class: "secret" }, value)));
    secret.scrollIntoView();
  }

  const act = (f, done) => async () => {
    try {
      await f();
      if (done) notice(done);
      again();
    } catch (problem) {
      notice(problem.message);
    }
  };

  const url = h("input", { id: "url", required: true, size: 50, placeholder: "https://github.com/owner/name" });
  const branch = h("input", { id: "branch", placeholder: "the remote's default" });
  const token = h("input", { id: "credential", type: "password", autocomplete: "off" });
  const check = h("input", { id: "check", size: 40, placeholder: "make test" });
  const shared = h("input", { type: "checkbox" });
  const error = h("p", { role: "alert" });
  const connect = async e => {
    e.preventDefault();
    const body = { url: url.value.trim(), visibility: shared.checked ? "shared" : "private" };
    if (branch.value.trim()) body.defaultBranch = branch.value.trim();
    if (token.value) body.credential = { token: token.value };
    if (check.value.trim()) body.checkCommand = check.value.trim();
    error.textContent = "Reaching the remote…";
    try {
      const made = await post("/repositories", body);
      await repositories(main, { go });
      main.prepend(h("div", { class: "panel" }, h("strong", null, `${made.name} is connected. Its webhook secret, shown this once:`), h("p", { class: "secret" }, made.webhookSecret)));
    } catch (problem) {
      error.textContent = problem.message;
    }
  };

  main.replaceChildren(h("h1", null, "Repositories"), secret,
    list.length ? h("div", { class: "wide" }, h("table", null, h("thead", null, h("tr", null, ["Name", "Status", "Branch", "Check", "Credential", "Verified"].map(w => h("th", null, w)), h("th", null, h("span", { class: "unseen" }, "Actions")))),
      h("tbody", null, list.map(r => h("tr", null,
        h("td", null, h("a", { href: "/?repositoryId=" + r.id }, r.name), r.visibility === "shared" && h("span", { class: "soft" }, " · shared")),
        h("td", null, h("span", { class: "status " + (r.status === "connected" ? "s-completed" : "s-failed") }, r.status === "connected" ? "✔ connected" : "✖ invalid"), r.statusCause && h("div", { class: "soft" }, r.statusCause)),
        h("td", { class: "mono" }, r.defaultBranch), h("td", { class: "mono" }, r.checkCommand || "–"), h("td", null, r.credential.source || "none"), h("td", null, time(r.verifiedAt)),
        h("td", null, h("div", { class: "bar" }, h("a", { class: "button", href: "/new?repository=" + r.id }, "New task"),
          h("button", { onclick: act(() => post(`/repositories/${r.id}/verify`, {}), "The remote was reached.") }, "Verify"),
          h("button", { onclick: async () => { try { showSecret(r.name, (await post(`/repositories/${r.id}/webhook-secret`, {})).webhookSecret); } catch (p) { notice(p.message); } } }, "New secret"),
          h("button", { class: "danger", onclick: () => confirm(`Remove ${r.name}? Its tasks stay readable.`) && act(() => call("DELETE", "/repositories/" + r.id))() }, "Remove")))))))) : h("p", { class: "soft" }, "None yet."),
    h("h2", null, "Connect a repository"), h("form", { onsubmit: connect },
      h("label", { htmlFor: "url" }, "Address"), url, h("label", { htmlFor: "branch" }, "Branch"), branch,
      h("label", { htmlFor: "credential" }, "Token (stays sealed, is never shown again)"), token, h("label", { htmlFor: "check" }, "Check command"), check,
      h("div", { class: "bar" }, h("label", { class: "inline" }, shared, "Every user may make tasks in it"), h("button", { class: "main" }, "Connect")), error));
}
