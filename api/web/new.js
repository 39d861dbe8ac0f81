// new.js - a new task.
import { h } from "./dom.js";
import { get, post } from "./api.js";

const field = (id, label, input, hint) => [h("label", { htmlFor: id }, label), Object.assign(input, { id }), hint && h("p", { class: "soft" }, hint)];

export async function newTask(main, { go }) {
  document.title = "New task · Pithy Jaunt";
  const repositories = (await get("/repositories?limit=200")).items;
  if (!repositories.length) {
    main.replaceChildren(h("h1", null, "New task"), h("p", null, "A task works on a repository: ", h("a", { href: "/repositories" }, "connect one"), " first."));
    return;
  }
  const wanted = new URLSearchParams(location.search).get("repository");
  const repository = h("select", null, repositories.map(r => h("option", { value: r.id, selected: r.id === wanted }, r.name + (r.status === "connected" ? "" : " (not connected)"))));
  const title = h("input", { required: true, maxLength: 200, size: 60 });
  const description = h("textarea", { required: true });
  const branch = h("input", { placeholder: "the repository's default" });
  const priority = h("select", null, ["normal", "high", "low"].map(p => h("option", { value: p }, p)));
  const provider = h("select", null, h("option", { value: "" }, "the runner's default"), ["openai", "anthropic", "replay"].map(p => h("option", { value: p }, p)));
  const model = h("input", { placeholder: "model name" });
  const minutes = h("input", { type: "number", min: 1, max: 1440, size: 5 }), cost = h("input", { type: "number", min: 0, step: 0.01, size: 6 });
  const execute = h("input", { type: "checkbox", checked: true });
  const error = h("p", { role: "alert" });

  async function submit(e) {
    e.preventDefault();
    const task = { repositoryId: repository.value, title: title.value.trim(), description: description.value, priority: priority.value, execute: execute.checked };
    if (branch.value.trim()) task.baseBranch = branch.value.trim();
    if (provider.value && model.value.trim()) task.model = { provider: provider.value, name: model.value.trim() };
    if (minutes.value || cost.value) task.limits = { ...(minutes.value && { timeoutMs: minutes.value * 60000 }), ...(cost.value && { costUsd: Number(cost.value) }) };
    try {
      go("/tasks/" + (await post("/tasks", task)).id);
    } catch (problem) {
      error.textContent = problem.message;
    }
  }

  main.replaceChildren(h("h1", null, "New task"), h("form", { onsubmit: submit },
    field("repository", "Repository", repository),
    field("title", "Title", title, "Becomes the subject of the commit and the pull request."),
    field("description", "Description", description, "What should be different afterwards. Markdown is fine."),
    h("details", null, h("summary", null, "More"),
      field("branch", "Base branch", branch), field("priority", "Priority", priority),
      h("label", { htmlFor: "provider" }, "Model"), h("div", { class: "bar" }, Object.assign(provider, { id: "provider" }), Object.assign(model, { ariaLabel: "Model name" })),
      field("minutes", "Time limit in minutes", minutes), field("cost", "Cost limit in US dollars", cost)),
    h("div", { class: "bar" }, h("label", { class: "inline" }, execute, "Run it now"), h("button", { class: "main" }, "Make the task")), error));
  title.focus();
}
