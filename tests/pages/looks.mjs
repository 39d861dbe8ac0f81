// looks.mjs - every page, light and wide, dark and narrow: axe finds nothing, nothing is wider than the screen; pictures are kept.
import assert from "node:assert/strict";
import { api, axeFinds, until } from "./harness.mjs";

const LIMIT = 60 * 1024; // all JavaScript together, gzip

export async function everyPage({ person, facts, picture }) {
  const page = await person(), { tasks, repository } = facts;
  const ready = selector => page.locator(selector).first().waitFor();
  const tab = name => async () => { await page.getByRole("tab", { name }).click(); await page.locator("#tab-panel > *").first().waitFor(); };
  const list = [
    ["tasks", "/", ".tasks tbody tr"],
    ["tasks-empty-filter", "/?status=cancelled&q=nothing", ".empty"],
    ["task-running", `/tasks/${tasks.running}`, ".log .row"],
    ["task-waiting", `/tasks/${tasks.waiting}`, ".panel.note"],
    ["task-question", `/tasks/${tasks.needs_clarification}`, ".ask"],
    ["task-failed", `/tasks/${tasks.failed}`, ".panel.bad"],
    ["task-review", `/tasks/${tasks.needs_review}`, ".panel.warn"],
    ["patch", `/tasks/${tasks.needs_review}?tab=patch`, ".diff"],
    ["patch-split", `/tasks/${tasks.needs_review}?tab=patch`, ".diff", () => page.getByRole("button", { name: "Split" }).click()],
    ["checks", `/tasks/${tasks.needs_review}?tab=checks`, "#tab-panel > *"],
    ["usage", `/tasks/${tasks.needs_review}?tab=usage`, ".facts"],
    ["prompt", `/tasks/${tasks.needs_review}?tab=prompt`, ".prompt"],
    ["new-task", "/new", "form"],
    ["new-task-preview", "/new", "form", async () => { await page.getByRole("textbox", { name: "Description" }).fill("# A heading\n\n1. `code`\n2. > no quote\n\n> a quote\n\n```\na block\n```"); await tab("Preview")(); }],
    ["repositories", "/repositories", ".wide", () => page.locator("details.card > summary").click()],
    ["repository", `/repositories/${repository}`, ".plainlist, .empty"],
    ["analytics", "/admin?range=24h", ".uplot"],
    ["runners", "/admin?tab=runners", "#tab-panel table, #tab-panel .empty"],
    ["users", "/admin?tab=users", "#tab-panel table"],
    ["audit", "/admin?tab=audit", "#tab-panel table"],
    ["notifications", "/admin?tab=outbox", "#tab-panel table"],
    ["tokens", "/account", ".wide"],
    ["set-up", "/setup", ".steps"],
    ["nothing", "/tasks/0000000000000000000000", "h1"],
    ["delete-dialog", `/tasks/${tasks.failed}`, ".actions", async () => { await page.getByRole("button", { name: "Delete" }).click(); await page.getByRole("dialog").waitFor(); }],
  ];
  const found = [];
  const look = async name => {
    const theme = t => page.getByLabel("Colours").evaluate((e, value) => { e.value = value; e.dispatchEvent(new Event("change", { bubbles: true })); }, t);
    await page.setViewportSize({ width: 1440, height: 900 });
    await theme("light");
    for (const fault of await axeFinds(page)) found.push(`${name}, light and wide: ${fault}`);
    await picture(page, `${name}-1440-light`);
    await theme("dark");
    await page.setViewportSize({ width: 360, height: 760 });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (width > 360) found.push(`${name}: ${width} pixels wide on a screen of 360`);
    for (const fault of await axeFinds(page)) found.push(`${name}, dark and narrow: ${fault}`);
    await picture(page, `${name}-360-dark`);
  };
  for (const [name, address, selector, act] of list) {
    await page.goto(address);
    await ready(selector);
    await act?.();
    await look(name);
  }
  await page.goto("/");
  await page.getByRole("button", { name: "Sign out" }).click();
  await ready("form");
  await page.locator("summary").click();
  await look("sign-in");
  assert.deepEqual(found, []);
}

// What the charts and the numbers above them show is what the API says, and the CSV too.
export async function analytics({ person, picture }) {
  const page = await person({ at: "/admin?range=24h&bucket=hour" });
  await until("the charts", () => page.locator(".uplot").count(), n => n === 8);
  const shown = Object.fromEntries(await page.locator("#tab-panel .facts > div").evaluateAll(list => list.map(e => [e.querySelector("dt").textContent, e.querySelector("dd").textContent])));
  const csvAddress = await page.getByRole("link", { name: "CSV" }).getAttribute("href");
  const said = await api(page, csvAddress.replace("/api/v1", "").replace("&format=csv", ""));
  const { tasks, tokens, successRate } = said.totals;
  assert.ok(tasks.completed > 0 && tokens.total > 0);
  assert.equal(shown.Completed, tasks.completed.toLocaleString("en"));
  assert.equal(shown.Failed, tasks.failed.toLocaleString("en"));
  assert.equal(shown.Tokens, tokens.total.toLocaleString("en"));
  assert.equal(shown.Success, successRate === 1 ? "100 %" : `${(100 * successRate).toFixed(1)} %`);
  const csv = await page.evaluate(async a => (await fetch(a)).text(), csvAddress);
  const [head, ...rows] = csv.trim().split("\r\n").map(l => l.split(","));
  assert.equal(rows.length, said.buckets.length);
  assert.equal(rows.reduce((n, r) => n + Number(r[head.indexOf("total_tokens")]), 0), tokens.total);
  // The table beneath has the numbers of each bucket.
  await page.getByText("All numbers of the charts").click();
  const table = await page.getByRole("region", { name: "By bucket" }).locator("tbody tr").evaluateAll(list => list.map(r => r.children[5].textContent));
  assert.deepEqual(table, said.buckets.map(b => b.tokens.total.toLocaleString("en")));
  await page.getByRole("region", { name: "By model" }).getByText("stand-in-model").waitFor();
  await picture(page, "analytics-with-numbers");
  // The range and the bucket are in the address.
  await page.getByRole("button", { name: "30 days" }).click();
  await page.waitForURL(/range=30d/);
  await page.locator(".tools select").selectOption("day");
  await page.waitForURL(/bucket=day/);
}

// First run: the set-up token becomes an owner with a token of his own, and a repository is connected.
export async function firstRun({ person, facts, picture }) {
  const page = await person();
  await page.waitForURL(/\/setup$/);
  await page.getByLabel("Your email").fill("owner@example.org");
  await page.getByRole("button", { name: "Save and make my token" }).click();
  const token = await page.locator("[data-secret]").innerText();
  assert.match(token, /^pj_/);
  await page.getByLabel("Address").fill("/no/such/repository");
  await page.getByRole("button", { name: "Connect" }).click();
  await page.locator(".panel.bad").waitFor(); // the remote's own words
  await picture(page, "set-up-refused");
  await page.getByLabel("Address").fill(facts.remote);
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByRole("link", { name: "New task" }).nth(1).waitFor();
  await picture(page, "set-up-connected");
  const again = await person({ token });
  await again.getByText("owner@example.org").waitFor();
  await again.getByText(/pj run /).waitFor(); // the empty list shows the first command
  await picture(again, "tasks-empty");
  // Another user, his first token shown once, and what the audit kept of it.
  await again.goto("/admin?tab=users");
  await again.getByLabel("Email", { exact: true }).fill("second@example.org");
  await again.getByRole("button", { name: "Add the user" }).click();
  const second = await again.locator("[data-secret]").innerText();
  const other = await person({ token: second });
  await other.getByText("second@example.org").waitFor();
  await again.goto("/admin?tab=audit");
  await again.getByText("user.create").first().waitFor();
  // His token is revoked by himself; the page says so at the next call.
  await other.goto("/account");
  const row = other.locator("tr", { has: other.getByText("first", { exact: true }) });
  await row.getByRole("button", { name: "Revoke" }).click();
  await other.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await until("the token is gone", () => row.count(), n => n === 0);
}

export async function weight({ person, facts }) {
  const page = await person(), names = ["app.js", "charts.js"];
  await page.goto("/admin");
  await page.locator(".uplot").first().waitFor();
  // As the server sends it, which is with gzip.
  const sizes = await page.evaluate(async list => {
    const out = [];
    for (const name of list) {
      const address = `${location.origin}/assets/${name}?${Math.random()}`;
      const answer = await fetch(address, { cache: "no-store" });
      await answer.arrayBuffer();
      out.push(answer.headers.get("Content-Encoding") === "gzip" ? performance.getEntriesByName(address)[0].encodedBodySize : 0);
    }
    return out;
  }, names);
  assert.ok(sizes.every(n => n > 10000), `compressed by the server: ${sizes}`);
  const known = await page.evaluate(() => performance.getEntriesByType("resource").filter(e => e.initiatorType === "script" || /\.js$/.test(e.name)).map(e => new URL(e.name).pathname));
  assert.deepEqual([...new Set(known)].filter(a => !names.some(n => a === "/assets/" + n)), [], "no other script is loaded");
  const sum = sizes.reduce((a, b) => a + b, 0);
  console.log(`JavaScript, gzip: ${names.map((n, i) => `${n} ${sizes[i]}`).join(", ")}, together ${sum} of ${LIMIT} bytes`);
  assert.ok(sum < LIMIT, `${sum} bytes of JavaScript`);
  assert.ok(facts.base);
}
