// journeys.mjs - people and tasks, from the sign-in to the pull request.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { api, cue, log, status, until, untilStatus } from "./harness.mjs";

// From a description to a pull request, with the log growing under the eyes.
export async function create({ person, facts, picture }) {
  const page = await person({ at: "/new" });
  await page.getByLabel("Title").fill("Write a file");
  await page.getByRole("textbox", { name: "Description" }).fill("Write **docs/new.txt**.\n\n- one line\n- <img src=x onerror=alert(1)>\n\n[a link](javascript:alert(1))");
  await page.getByRole("tab", { name: "Preview" }).click();
  const preview = page.locator(".preview");
  assert.equal(await preview.locator("strong").innerText(), "docs/new.txt");
  assert.equal(await preview.locator("li").count(), 2);
  assert.equal(await preview.locator("img, a").count(), 0, "no markup and no script address passes");
  await page.getByRole("button", { name: "Make the task" }).click();
  await page.waitForURL(/\/tasks\/[0-9a-z]+$/);
  const view = log(page), id = page.url().split("/").pop();
  await view.untilLines(100);
  const before = await view.lines();
  assert.match(await status(page), /Generating/);
  assert.equal(await page.locator(".stages [aria-current=step] .name").innerText(), "Generating");
  await cue("release");
  await untilStatus(page, "Completed");
  await view.untilState("ended");
  assert.ok(await view.lines() > before, "the log grew");
  const pull = page.getByRole("link", { name: /Open the pull request/ });
  const task = await api(page, `/tasks/${id}`);
  assert.equal(await pull.getAttribute("href"), task.prUrl);
  assert.match(task.prUrl, /^http/);
  await until("durations of the stages", () => page.locator(".stages .took").allInnerTexts(), list => list.length === 8 && list.every(t => t.trim() !== ""));
  await page.locator("details", { has: page.getByText(/\d+ layers/) }).first().waitFor();
  await page.getByRole("tab", { name: "Patch" }).click();
  await page.getByRole("link", { name: "new.txt" }).waitFor();
  assert.match(await page.locator(".diff").innerText(), /made/);
  await page.getByRole("tab", { name: /Checks/ }).click();
  await page.getByText("sh check.sh").waitFor();
  await page.getByRole("tab", { name: "Usage" }).click();
  await page.getByText("stand-in-model").nth(1).waitFor();
  await page.getByRole("tab", { name: "Prompt" }).click();
  await page.locator(".turns .turn").first().waitFor();
  await picture(page, "journey-pull-request");
  // In the list the row is there, with its state by icon and word, wait and duration.
  await page.getByRole("link", { name: "Tasks", exact: true }).first().click();
  const row = page.locator(`[data-task="${id}"]`);
  assert.match(await row.innerText(), /Completed/);
  assert.equal(await row.locator("svg").count() > 0, true);
  assert.ok(facts.base);
}

// The question stands large and plain; the answer sends the task on.
export async function question({ person, facts, picture }) {
  const page = await person({ at: `/tasks/${facts.task}` });
  const text = page.locator(".question");
  assert.equal(await text.innerText(), "Which colour shall the bicycle shed have?");
  assert.ok(await text.evaluate(e => parseFloat(getComputedStyle(e).fontSize)) >= 19);
  await picture(page, "journey-question");
  await page.getByLabel("Your answer").fill("Teal, like the door.");
  await page.getByRole("button", { name: "Answer and go on" }).click();
  await untilStatus(page, "Completed");
  assert.equal(await text.count(), 0);
  await page.getByText("attempt 2", { exact: true }).waitFor();
  const view = log(page);
  await view.untilState("ended");
  assert.ok((await page.locator(".log").innerText()).includes("Attempt 2") || (await view.lines()) > 20);
  await page.getByRole("tab", { name: "Prompt" }).click();
  await page.getByText("Teal, like the door.").waitFor();
}

// A patch that does not apply: the error with its remedy, the hunk marked, nothing published.
export async function failedPatch({ person, facts, picture }) {
  const page = await person({ at: `/tasks/${facts.task}` });
  await untilStatus(page, "Needs review");
  const panel = page.locator(".panel.warn");
  assert.match(await panel.innerText(), /patch_conflict/);
  assert.match(await panel.innerText(), /What to do: \S/);
  assert.equal(await page.getByRole("link", { name: /Open the pull request/ }).count(), 0);
  await page.getByRole("tab", { name: "Patch" }).click();
  await page.getByText("1 hunk rejected").waitFor();
  assert.match(await page.locator(".diff .hunk").innerText(), /Does not apply/);
  assert.deepEqual(await page.locator(".diff b").allInnerTexts(), ["good morning", "hello, world"], "what changed within the line");
  await page.getByRole("button", { name: "Split" }).click();
  assert.equal(await page.locator(".diff.split").count(), 1);
  await picture(page, "journey-failed-patch");
  // Feedback and another try lead out of it.
  await page.getByRole("button", { name: "Retry" }).click();
  await page.getByLabel(/What should be different/).fill("The file says hello.");
  await page.getByRole("button", { name: "Run it again" }).click();
  await untilStatus(page, "Completed");
}

// The server goes and comes back while lines are written: none is lost, none doubled.
export async function reconnect({ person, facts }) {
  const page = await person({ at: `/tasks/${facts.task}` }), view = log(page);
  await cue("write", "500");
  await view.untilLines(500);
  await cue("stop");
  await view.untilState("lost");
  await cue("write", "300");
  await cue("start");
  await view.untilLines(800);
  await cue("write", "200");
  await view.untilLines(1000);
  await cue("finish");
  await view.untilState("ended");
  await untilStatus(page, "Completed");
  assert.equal(await view.lines(), 1000);
  const lines = await view.copy();
  assert.deepEqual(lines.map(l => l.match(/^line (\d+)/)?.[1]), Array.from({ length: 1000 }, (_, i) => String(i + 1)));
  assert.equal(await page.getByText(/missing/).count(), 0);
  // The server was told of the end; a retry from elsewhere goes on here.
  const second = await person({ at: `/tasks/${facts.task}` });
  await untilStatus(second, "Completed");
}

// What an operator does in bulk and for good: retries, a new webhook secret, a runner that is to leave.
export async function operate({ person, facts }) {
  const page = await person({});
  for (const id of facts.tasks) await page.locator(`[data-task="${id}"] input[type=checkbox]`).check();
  const bar = page.getByRole("toolbar", { name: "Chosen tasks" });
  assert.match(await bar.innerText(), /3 tasks chosen/);
  await bar.getByRole("button", { name: "Retry" }).click();
  await page.getByText(/Started again: 2\. Left alone, as their state does not allow it: 1\./).waitFor();
  assert.equal(await bar.count(), 0, "nothing stays chosen");
  for (const id of facts.tasks) await until(`row of ${id}`, () => page.locator(`[data-task="${id}"]`).innerText(), text => /Completed/.test(text));
  assert.deepEqual(await Promise.all(facts.tasks.map(async id => (await api(page, `/tasks/${id}`)).attempt)), [2, 2, 1]);

  // The new secret signs; the old one does so for a day; what is neither does not. It is shown once.
  await page.goto(`/repositories/${facts.repository}`);
  await page.getByRole("button", { name: "Make a new secret" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Make a new secret" }).click();
  const secret = await page.locator("[data-secret]").innerText();
  assert.match(secret, /^whsec_/);
  assert.equal(await report(facts, secret), 409, "signed, and the task is not running");
  assert.equal(await report(facts, "whsec_" + Buffer.alloc(24).toString("base64")), 401);
  await page.reload();
  await page.getByText("A workflow signs its reports with it").waitFor();
  assert.equal(await page.locator("[data-secret]").count(), 0);

  await page.getByRole("link", { name: "Admin", exact: true }).click();
  await page.getByRole("tab", { name: "Runners" }).click();
  const runners = page.getByRole("region", { name: "Runners" });
  await runners.getByText("ready").waitFor();
  await runners.getByRole("button", { name: "Drain" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
  await until("the runner has left", () => runners.count(), n => n === 0);
  await page.getByText("No runner", { exact: true }).waitFor();
}

// The status that a workflow's report under this secret gets.
async function report(facts, secret) {
  const id = `msg_${secret.length}_${Date.now()}`, at = String(Math.floor(Date.now() / 1000));
  const body = JSON.stringify({ type: "task.progress", taskId: facts.tasks[2] });
  const mac = createHmac("sha256", Buffer.from(secret.slice(6), "base64")).update(`${id}.${at}.${body}`).digest("base64");
  const answer = await fetch(`${facts.base}/api/v1/webhooks/execution/${facts.repository}`, { method: "POST", body, headers: {
    "content-type": "application/json", "webhook-id": id, "webhook-timestamp": at, "webhook-signature": "v1," + mac } });
  return answer.status;
}

// Two users: neither sees, finds or is told of what the other has.
export async function strangers({ person, facts }) {
  const [ann, bob] = [await person({ token: facts.ann.token }), await person({ token: facts.bob.token })];
  for (const [page, own, other] of [[ann, facts.ann, facts.bob], [bob, facts.bob, facts.ann]]) {
    await page.getByRole("link", { name: own.title }).waitFor();
    assert.equal(await page.getByText(other.title).count(), 0);
    assert.equal(await page.getByRole("link", { name: "Admin" }).count(), 0);
    await page.goto(`/tasks/${other.task}`);
    await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
    await page.goto(`/repositories/${other.repository}`);
    await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
    await page.goto("/repositories");
    await page.getByRole("link", { name: own.repositoryName, exact: true }).waitFor();
    assert.equal(await page.getByText(other.repositoryName).count(), 0);
    await page.goto("/admin");
    await page.getByText("This part is for admins.").waitFor();
    await page.goto("/?q=secret");
    await page.getByRole("link", { name: own.title }).waitFor();
    assert.equal(await page.getByText(other.title).count(), 0);
    await page.goto("/");
    await page.getByRole("link", { name: own.title }).waitFor();
  }
  // A new task of Ann's is announced to her, and to her only; the list she reads does not move.
  await until("Ann's stream", () => ann.locator("[data-live=open]").count(), n => n === 1);
  await cue("annTask");
  await ann.getByRole("button", { name: /1 new task/ }).waitFor();
  assert.equal(await ann.locator("tbody tr").count(), 1, "rows do not jump");
  assert.equal(await bob.getByRole("button", { name: /new task/ }).count(), 0);
  await ann.getByRole("button", { name: /1 new task/ }).click();
  await until("two rows", () => ann.locator("tbody tr").count(), n => n === 2);
  // Choose both, cancel both.
  await ann.getByLabel("Choose all shown").check();
  await ann.getByRole("button", { name: "Cancel", exact: true }).click();
  await until("both cancelled", () => ann.locator("tbody .s-cancelled").count(), n => n === 2);
  // The filter is in the address, and the address alone brings it back.
  await ann.getByLabel("State").selectOption("cancelled");
  await ann.waitForURL(/status=cancelled/);
  const shared = await ann.context().newPage();
  await shared.goto(ann.url());
  await until("the same two", () => shared.locator("tbody tr").count(), n => n === 2);
  await shared.getByLabel("State").selectOption("failed");
  await shared.getByText("No task fits").waitFor();
}

// Nothing but keys, from the sign-in to a cancelled task.
export async function keyboard({ person, facts }) {
  const page = await person({ signIn: false });
  const press = key => page.keyboard.press(key);
  const focused = () => page.evaluate(() => {
    const e = document.activeElement;
    const label = e.labels?.[0]?.innerText || e.getAttribute("aria-label") || e.innerText || e.id;
    return { tag: e.tagName, label: (label || "").trim(), ring: getComputedStyle(e).outlineStyle };
  });
  // Tab to the control of that name; every stop on the way shows where one is.
  async function tabTo(label) {
    const seen = [];
    for (let i = 0; i < 80; i++) {
      const at = await focused();
      if (label.test(at.label)) return;
      seen.push(`${at.tag} ${at.label.slice(0, 30)}`);
      await press("Tab");
      const next = await focused();
      if (next.tag !== "BODY" && next.tag !== "MAIN") assert.notEqual(next.ring, "none", `a visible focus on ${next.tag} ${next.label}`);
    }
    throw new Error(`no way to ${label} by Tab: ${seen.join(" | ")}`);
  }
  await page.goto("/");
  await tabTo(/^Token$/);
  await page.keyboard.type(facts.token);
  await press("Enter");
  await page.getByRole("heading", { name: "Tasks" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Tasks" }).waitFor();
  await press("Tab");
  assert.equal((await focused()).label, "Skip to content");
  await tabTo(/^New task$/);
  await press("Enter");
  await page.getByRole("heading", { name: "New task" }).waitFor();
  await page.getByLabel("Title").waitFor();
  await tabTo(/^Title$/);
  await page.keyboard.type("By keys alone");
  await tabTo(/^Write$/);
  await press("ArrowRight");
  assert.equal((await focused()).label, "Preview");
  await press("ArrowLeft");
  await tabTo(/^Description$/);
  await page.keyboard.type("Say hello.");
  await tabTo(/^Run it now$/);
  await tabTo(/^Make the task$/);
  await press("Enter");
  await page.waitForURL(/\/tasks\/[0-9a-z]+$/);
  await until("why it waits", () => page.locator(".panel.note").count(), n => n === 1);
  assert.match(await page.locator(".panel.note").innerText(), /Why it waits: No runner is online/);
  await tabTo(/^Cancel$/);
  await press("Enter");
  await untilStatus(page, "Cancelled");
  await tabTo(/^Log$/);
  await press("ArrowRight");
  await page.waitForURL(/tab=patch/);
  await press("End");
  await page.waitForURL(/tab=prompt/);
  await press("Home");
  await tabTo(/^Delete$/);
  await press("Enter");
  await page.getByRole("dialog").waitFor();
  await press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.equal((await focused()).label, "Delete", "the focus is back where it was");
  // The log by keys: search, the next find, choose lines, a link to them.
  await page.goto(`/tasks/${facts.task}`);
  const view = log(page);
  await view.untilLines(50);
  await tabTo(/^Log lines$/);
  await press("/");
  await page.keyboard.type("line 7");
  await until("finds", () => page.locator(".hits").innerText(), t => t === "1 of 1");
  await press("Escape");
  await press("j");
  await press("Shift+J");
  await press("y");
  await until("a link to a range", () => page.evaluate(() => location.hash), h => /^#L1-\d+:1-\d+$/.test(h));
}
