// logs.mjs - the log viewer: what it can, and how it bears 100,000 lines and 1,000 a second.
import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { cue, log, until } from "./harness.mjs";

export async function viewer({ person, facts, picture }) {
  const page = await person({ at: `/tasks/${facts.task}` }), view = log(page);
  const total = facts.lines;
  await view.untilState("ended");
  assert.equal(await view.lines(), total);
  const rows = async () => (await view.rows()).join("\n");
  const top = () => view.box.evaluate(e => { e.scrollTop = 0; });
  await top();
  await until("the colours at the top", rows, t => t.includes("in red"));
  // Colours: the 16 as classes, true colour through the DOM, other sequences dropped, a carriage return begins a line anew.
  const red = page.locator(".log .m span", { hasText: "in red" }).first();
  assert.equal(await red.evaluate(e => e.className), "a1 f1");
  assert.equal(await page.locator(".log .m span", { hasText: "true colour" }).evaluate(e => e.style.color), "rgb(1, 200, 3)");
  assert.ok((await rows()).includes("100 %") && !(await rows()).includes("50 %"));
  assert.equal(await page.locator(".log .flag").first().innerText(), "line cut");
  // Search with count and steps through the finds.
  const search = page.getByLabel("Search the log");
  await search.fill("needle");
  await until("the finds", () => page.locator(".hits").innerText(), t => t === "1 of 3");
  await search.press("Enter");
  await until("the second", () => page.locator(".hits").innerText(), t => t === "2 of 3");
  await page.locator(".log .hit mark", { hasText: "needle" }).waitFor();
  await page.getByRole("button", { name: "Previous find" }).click();
  await until("the first", () => page.locator(".hits").innerText(), t => t === "1 of 3");
  await search.fill("");
  // By stream.
  await page.getByLabel("Stream").selectOption("stderr");
  await until("only errors", () => page.locator(".log .line").count(), n => n === 2);
  await page.getByLabel("Stream").selectOption("");
  // Fold by step: one row a step, and back.
  await page.getByRole("button", { name: "Fold all", exact: true }).click();
  await top();
  await until("folded", () => page.locator(".log .line").count(), n => n === 0);
  assert.ok(await page.locator(".log .step").count() >= 1);
  await picture(page, "log-folded");
  await page.getByRole("button", { name: "Unfold all" }).click();
  await top();
  await until("unfolded", () => page.locator(".log .line").count(), n => n > 10);
  // Times: none, of day, since the start.
  assert.equal(await page.locator(".log .line .t").count(), 0);
  await page.getByLabel("Times").selectOption("time");
  await until("times", () => page.locator(".log .line .t").first().innerText(), t => /^\d\d:\d\d:\d\d\.\d{3}$/.test(t));
  await page.getByLabel("Times").selectOption("relative");
  await until("relative times", () => page.locator(".log .line .t").first().innerText(), t => /^\+\d+\.\d{3}$/.test(t));
  await page.getByLabel("Times").selectOption("off");
  // A long line takes several rows when lines wrap, and nothing is wider than the box.
  await page.getByLabel("Wrap").check();
  await until("wrapped", () => view.box.evaluate(e => e.scrollWidth <= e.clientWidth && [...e.querySelectorAll(".line")].some(r => r.offsetHeight > 20)), ok => ok);
  assert.ok(await view.box.evaluate(e => [...e.querySelectorAll(".line")].every(r => r.scrollHeight <= r.offsetHeight + 1)), "no line is cut by its row");
  await page.getByLabel("Wrap").uncheck();
  // A link to a line and to a range: opened elsewhere, it leads there.
  const first = page.locator(".log a.n", { hasText: /^1-5$/ });
  await first.click();
  await page.locator(".log a.n", { hasText: /^1-8$/ }).click({ modifiers: ["Shift"] });
  assert.equal(await page.evaluate(() => location.hash), "#L1-5:1-8");
  assert.equal(await page.locator(".log .chosen").count(), 4);
  assert.equal((await view.copy()).length, 4);
  const there = await page.context().newPage();
  await there.goto(`/tasks/${facts.task}#L1-${total - 300}`);
  await until("the linked line", () => there.locator(".log .chosen").count(), n => n === 1);
  assert.ok(await there.locator(".log .chosen").isVisible());
  // Jump to the end, and the file.
  await there.getByRole("button", { name: "To the end" }).click();
  await there.locator(".log .row", { hasText: `1-${total}` }).waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  assert.match(download.suggestedFilename(), /\.log$/);
  await picture(page, "log");
}

// In the page: when the first rows of the log could be seen, in ms after the address was asked for.
const watchFirst = () => {
  const look = () => {
    if (document.querySelector(".log .line")) window.pjFirst = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
};

// The longest task of the page's main thread in a trace, and the longest time between two frames, both in ms.
async function traced(page, act) {
  const session = await page.context().newCDPSession(page), events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  await session.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"] } });
  await page.evaluate(() => {
    window.pjFrames = [];
    let last = performance.now();
    const next = now => { window.pjFrames.push(now - last); last = now; window.pjRaf = requestAnimationFrame(next); };
    window.pjRaf = requestAnimationFrame(next);
  });
  await act();
  const frames = await page.evaluate(() => { cancelAnimationFrame(window.pjRaf); return window.pjFrames.slice(1); });
  const done = new Promise(resolve => session.once("Tracing.tracingComplete", resolve));
  await session.send("Tracing.end");
  await done;
  await session.detach();
  const main = events.find(e => e.name === "thread_name" && e.args?.name === "CrRendererMain" && events.some(x => x.pid === e.pid && x.name === "FireAnimationFrame"));
  const tasks = events.filter(e => /RunTask$/.test(e.name) && e.dur && (!main || (e.pid === main.pid && e.tid === main.tid)));
  return { frame: Math.max(0, ...frames), task: Math.max(0, ...tasks.map(e => e.dur / 1000)), count: frames.length };
}

// From top to bottom in steps of a wheel, then in leaps, as fast as frames come.
const scrollAll = () => new Promise(done => {
  const box = document.querySelector(".log");
  let n = 0;
  box.scrollTop = 0;
  const step = () => {
    n++;
    box.scrollTop = n < 120 ? n * 120 : (n - 120) / 60 * box.scrollHeight;
    if (n < 180) requestAnimationFrame(step);
    else done();
  };
  requestAnimationFrame(step);
});

async function firstLines(page, facts) {
  await page.addInitScript(watchFirst);
  await page.goto(`/tasks/${facts.task}`);
  return until("the first lines", () => page.evaluate(() => window.pjFirst), t => t !== undefined);
}

// 100,000 lines, loosely: a bound that only a viewer without virtual rows would miss.
export async function large({ person, facts }) {
  const page = await person(), view = log(page);
  const first = await firstLines(page, facts);
  await view.untilLines(facts.lines);
  await view.untilState("ended");
  assert.ok(await page.locator(".log .row").count() < 400, "only the rows in sight exist");
  const { frame, task } = await traced(page, () => page.evaluate(scrollAll));
  await page.locator(".log .row", { hasText: `1-${facts.lines}` }).waitFor();
  console.log(`100,000 lines: the first after ${Math.round(first)} ms; scrolling, longest task ${Math.round(task)} ms, longest frame ${Math.round(frame)} ms`);
  assert.ok(first < 10000 && task < 1000 && frame < 3000, `first ${first}, task ${task}, frame ${frame}`);
  await page.getByLabel("Search the log").fill("line 99999");
  await until("a find among them", () => page.locator(".hits").innerText(), t => t === "1 of 1");
}

const row = (name, value, unit, limit) => {
  const text = JSON.stringify({ bench: "pages", row: name, value: Math.round(value * 10) / 10, unit, atMost: limit, holds: value < limit });
  console.log(`${name.padEnd(46)} ${String(Math.round(value * 10) / 10).padStart(9)} ${unit.padEnd(4)} must be under ${limit}`);
  if (process.env.PJ_BENCH_JSON) appendFileSync(process.env.PJ_BENCH_JSON, text + "\n");
  return value < limit;
};

// The same, measured; and a live tail of 1,000 lines a second.
export async function bench({ person, facts }) {
  const page = await person(), view = log(page), held = [];
  held.push(row("100,000 lines: first lines visible", await firstLines(page, facts), "ms", 500));
  await view.untilLines(facts.lines);
  await view.untilState("ended");
  const scroll = await traced(page, () => page.evaluate(scrollAll));
  held.push(row("100,000 lines: longest frame while scrolling", scroll.frame, "ms", 100));
  held.push(row("100,000 lines: longest task while scrolling", scroll.task, "ms", 100));
  await page.goto(`/tasks/${facts.live}`);
  await view.untilState("live");
  // In the page: how old the newest line on the screen is, at every frame. A line's text begins with the time it was written.
  await page.evaluate(() => {
    window.pjAges = [];
    const look = () => {
      const last = [...document.querySelectorAll(".log .line")].reduce((a, b) => !a || parseFloat(b.style.top) > parseFloat(a.style.top) ? b : a, null);
      const at = Number(/t=(\d+)/.exec(last?.textContent || "")?.[1]);
      if (at) window.pjAges.push(Date.now() - at);
      window.pjLook = requestAnimationFrame(look);
    };
    look();
  });
  let ages = [], behind = 0;
  const tail = await traced(page, async () => {
    await cue("tail", "10000");
    const written = Date.now();
    ages = await page.evaluate(() => { cancelAnimationFrame(window.pjLook); return window.pjAges.sort((a, b) => a - b); });
    await view.untilLines(10000);
    behind = Date.now() - written;
  });
  held.push(row("1,000 lines/s: age of the newest line shown, p95", ages[Math.floor(ages.length * 0.95)], "ms", 250));
  held.push(row("1,000 lines/s: all shown after the last was written", behind, "ms", 500));
  held.push(row("1,000 lines/s: longest frame", tail.frame, "ms", 100));
  assert.ok(held.every(Boolean), "a bound was missed");
}
