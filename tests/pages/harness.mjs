// harness.mjs - a browser, people in it, and what every play holds: no script error, nothing that the content policy refused.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { mkdirSync, readFileSync } from "node:fs";
import assert from "node:assert/strict";
import path from "node:path";

const modules = process.env.PJ_PAGES_MODULES, shots = process.env.PJ_PAGES_SHOTS;
const require = createRequire(path.join(modules, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE = 60000; // generous: a loaded machine, servers under sanitizers

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Ask the other side for something; its answer is a line.
export async function cue(name, arg = "") {
  process.stdout.write(`cue ${name} ${arg}\n`);
  return (await answers.next()).value;
}

export async function open(facts) {
  mkdirSync(shots, { recursive: true });
  const browser = await chromium.launch({ executablePath: process.env.PJ_CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  const faults = [], people = [];

  // A person: a browser profile of his own. With a token he signs in as people do, by typing it.
  async function person({ token, width = 1440, height = 900, theme = "light", at = "/", signIn = true } = {}) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", baseURL: facts.base });
    await context.addInitScript(() => document.addEventListener("securitypolicyviolation", e => console.error(`Content Security Policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`)));
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", error => faults.push(`script error: ${error.stack}`));
    page.on("console", message => {
      if (/content security policy|trusted ?(type|script|html)/i.test(message.text())) faults.push(message.text());
    });
    page.on("request", request => { if (!request.url().startsWith(facts.base) && !request.url().startsWith("data:")) faults.push(`a foreign host is asked: ${request.url()}`); });
    people.push(page);
    if (signIn) {
      await page.goto(at);
      await page.getByLabel("Token").fill(token || facts.token);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("button", { name: "Sign out" }).waitFor();
    }
    return page;
  }

  return {
    facts, browser, person,
    picture: (page, name) => page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true }),
    pictureAll: name => Promise.all(people.map((page, i) => page.isClosed() ? null : page.screenshot({ path: path.join(shots, `${name}-${i}.png`) }).catch(() => null))),
    assertClean: () => assert.deepEqual(faults, []),
    close: () => browser.close(),
  };
}

// What axe finds on the page as it is, as lines.
export async function axeFinds(page) {
  if (!await page.evaluate(() => "axe" in window)) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.flatMap(v => v.nodes.map(n => `${v.id} at ${n.target.join(" ")}: ${n.any.concat(n.all, n.none).map(c => c.message).join("; ").slice(0, 200)}`));
}

// Look again until `holds` is true of what `read` gives.
export async function until(what, read, holds) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (Date.now() > deadline) throw new Error(`${what}: still ${JSON.stringify(value)}`);
    await new Promise(done => setTimeout(done, 50));
  }
}

// The log on a task's page.
export const log = page => ({
  box: page.locator(".log"),
  lines: async () => Number(await page.locator(".log").getAttribute("data-lines")),
  state: () => page.locator(".log").getAttribute("data-state"),
  rows: () => page.locator(".log .row").evaluateAll(rows => rows.sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top)).map(row => row.textContent)),
  // All lines as the Copy button gives them.
  copy: async () => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: /^Copy( lines)?$/ }).first().click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    return (await page.evaluate(() => navigator.clipboard.readText())).trimEnd().split("\n");
  },
  untilLines: n => until(`${n} lines`, async () => Number(await page.locator(".log").getAttribute("data-lines")), k => k >= n),
  untilState: s => until(`log ${s}`, () => page.locator(".log").getAttribute("data-state"), x => x === s),
});

export const status = page => page.locator(".task-head .status").innerText();
export const untilStatus = (page, word) => until(`status ${word}`, () => status(page), s => s.trim() === word);
export const api = (page, address) => page.evaluate(async a => (await fetch("/api/v1" + a)).json(), address);
