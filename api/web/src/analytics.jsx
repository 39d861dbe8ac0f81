// analytics.jsx - what it costs and how it goes: the numbers of GET /admin/analytics as they are, and charts of them (R11.3).
import { useEffect, useRef } from "preact/hooks";
import { address, get } from "./api.js";
import { setQuery } from "./router.js";
import { useLoad } from "./hooks.js";
import { duration, exact, money, number, percent } from "./format.js";
import { Facts, Icon, Loading, Table, Trouble } from "./ui.jsx";

const DAY = 86400e3;
const ranges = { "24h": ["24 hours", DAY], "7d": ["7 days", 7 * DAY], "30d": ["30 days", 30 * DAY], "90d": ["90 days", 90 * DAY] };
const models = ["chart1", "chart2", "chart3", "chart4", "chart5"];

// "from" and "to" of the address win over a range that ends now; days are whole ones in UTC, as the buckets are.
function period(query) {
  const from = query.get("from"), to = query.get("to"), key = ranges[query.get("range")] ? query.get("range") : "7d";
  const bucket = ["hour", "day"].includes(query.get("bucket")) ? query.get("bucket") : key === "24h" && !from ? "hour" : "day";
  if (from) return { key: "", bucket, from: from + "T00:00:00Z", to: to ? new Date(Date.parse(to + "T00:00:00Z") + DAY).toISOString() : null, first: from, last: to };
  return { key, bucket, from: new Date(Date.now() - ranges[key][1]).toISOString(), to: null, first: "", last: "" };
}

function Chart({ title, times, series, show }) {
  const box = useRef(null);
  useEffect(() => {
    let end = null, alive = true;
    import("./charts.js").then(({ chart }) => { if (alive) end = chart(box.current, { times, series, show }); });
    return () => { alive = false; end?.(); };
  }, [times, series]);
  return <figure class="chart" aria-label={title}><figcaption>{title}</figcaption><div ref={box} /></figure>;
}

const nameOf = m => [m.provider, m.model].filter(Boolean).join(" ");

// Each model over time: the five that took most; the table below has all.
function byModel(buckets, pick) {
  const sums = new Map();
  for (const b of buckets) for (const m of b.byModel) sums.set(nameOf(m), (sums.get(nameOf(m)) || 0) + (pick(m) || 0));
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, models.length).map(([label], i) => ({
    label, colour: models[i], values: buckets.map(b => b.byModel.filter(m => nameOf(m) === label).reduce((n, m) => n + (pick(m) || 0), 0)),
  }));
}

function Charts({ buckets }) {
  const times = buckets.map(b => Date.parse(b.start) / 1000), of = (label, colour, f, bars) => ({ label, colour, values: buckets.map(f), bars });
  return (
    <div class="charts">
      <Chart title="Ended tasks" times={times} show={number} series={[of("Completed", "good", b => b.tasks.completed, true), of("Failed", "bad", b => b.tasks.failed), of("Needs review", "warn", b => b.tasks.needs_review)]} />
      <Chart title="Success rate" times={times} show={percent} series={[of("Success", "good", b => b.successRate)]} />
      <Chart title="Tokens" times={times} show={number} series={[of("Total", "chart1", b => b.tokens.total, true), of("Prompt", "chart2", b => b.tokens.prompt), of("Completion", "chart3", b => b.tokens.completion), of("Cached", "chart4", b => b.tokens.cached)]} />
      <Chart title="Cost" times={times} show={money} series={[of("US dollars", "chart1", b => b.costUsd, true)]} />
      <Chart title="Duration" times={times} show={duration} series={[of("Mean", "chart1", b => b.durationMs.mean), of("Median", "chart2", b => b.durationMs.p50), of("95 % within", "chart3", b => b.durationMs.p95)]} />
      <Chart title="Wait before the start" times={times} show={duration} series={[of("Median", "chart2", b => b.queueWaitMs.p50), of("95 % within", "chart3", b => b.queueWaitMs.p95)]} />
      <Chart title="Tokens by model" times={times} show={number} series={byModel(buckets, m => m.tokens?.total)} />
      <Chart title="Cost by model" times={times} show={money} series={byModel(buckets, m => m.costUsd)} />
    </div>
  );
}

export function Analytics({ at }) {
  const key = ["range", "bucket", "from", "to"].map(n => at.query.get(n) || "").join();
  const state = useLoad(async signal => {
    const p = period(at.query), query = `bucket=${p.bucket}&from=${encodeURIComponent(p.from)}${p.to ? "&to=" + encodeURIComponent(p.to) : ""}`;
    return { ...(await get("/admin/analytics?" + query, signal)), period: p, query };
  }, [key]);
  const p = state.data?.period || period(at.query), t = state.data?.totals, b = state.data?.buckets;
  return (
    <>
      <div class="bar tools">
        <div class="toggle" role="group" aria-label="Range">{Object.entries(ranges).map(([k, [word]]) => <button key={k} type="button" class="small" aria-pressed={k === p.key ? "true" : "false"} onClick={() => setQuery({ range: k, from: "", to: "", bucket: "" })}>{word}</button>)}</div>
        <label class="inline">from <input type="date" value={p.first} onChange={e => setQuery({ from: e.target.value, range: "" })} /></label>
        <label class="inline">to <input type="date" value={p.last || ""} disabled={!p.first} onChange={e => setQuery({ to: e.target.value })} /></label>
        <label class="inline">by <select value={p.bucket} onChange={e => setQuery({ bucket: e.target.value })}><option value="hour">hour</option><option value="day">day</option></select></label>
        <span class="push" />
        {state.data && <a class="button small" href={address(`/admin/analytics?${state.data.query}&format=csv`)} download="analytics.csv"><Icon name="down" /> CSV</a>}
      </div>
      <Trouble error={state.error} again={state.reload} />
      {!t && !state.error && <Loading />}
      {t && <>
        <Facts rows={[["Completed", number(t.tasks.completed)], ["Failed", number(t.tasks.failed)], ["Needs review", number(t.tasks.needs_review)], ["Questions", number(t.tasks.needs_clarification)], ["Cancelled", number(t.tasks.cancelled)], ["Success", percent(t.successRate)],
          ["Tokens", number(t.tokens.total)], ["Cost", money(t.costUsd)], ["Mean time", duration(t.durationMs.mean)], ["Median time", duration(t.durationMs.p50)], ["95 % within", duration(t.durationMs.p95)], ["Median wait", duration(t.queueWaitMs.p50)], ["95 % wait at most", duration(t.queueWaitMs.p95)]]} />
        {t.unpricedCalls > 0 && <p class="panel note">{number(t.unpricedCalls)} calls went to models without a row in the price table: their cost is not known and not in the sum.</p>}
        <Charts buckets={b} />
        <h2>By model</h2>
        <Table label="By model" empty="No model was called." columns={[["Model"], ["Calls", "num"], ["Prompt", "num"], ["Completion", "num"], ["Cached", "num"], ["Tokens", "num"], ["Cost", "num"]]}
          rows={(t.byModel || []).map(m => ({ key: m.provider + m.model, cells: [nameOf(m), number(m.calls), number(m.tokens?.prompt), number(m.tokens?.completion), number(m.tokens?.cached), number(m.tokens?.total), money(m.costUsd)] }))} />
        <details><summary>All numbers of the charts</summary>
          <Table label="By bucket" empty="Nothing." columns={[["From"], ["Completed", "num"], ["Failed", "num"], ["Review", "num"], ["Success", "num"], ["Tokens", "num"], ["Cost", "num"], ["Median time", "num"], ["95 %", "num"], ["Median wait", "num"]]}
            rows={b.map(x => ({ key: x.start, cells: [exact(x.start), number(x.tasks.completed), number(x.tasks.failed), number(x.tasks.needs_review), percent(x.successRate), number(x.tokens.total), money(x.costUsd), duration(x.durationMs.p50), duration(x.durationMs.p95), duration(x.queueWaitMs.p50)] }))} /></details>
      </>}
    </>
  );
}
