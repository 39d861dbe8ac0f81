// charts.js - time series drawn by uPlot. A module of its own: only the page with charts loads it. The bundler puts uPlot before it.
/* global uPlot */

const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

// times: seconds; series: [{label, values, colour (a custom property), bars}]; show: number -> text. Returns a function that ends it.
export function chart(box, { times, series, show }) {
  let plot = null;
  // Half a bucket of room on both sides, so that the outer bars are whole.
  const half = times.length > 1 ? (times[1] - times[0]) / 2 : 43200;
  const bars = uPlot.paths.bars({ size: [0.7, 60] });

  function draw() {
    plot?.destroy();
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: "12px system-ui, sans-serif" };
    plot = new uPlot({
      width: Math.max(240, box.clientWidth),
      height: 190,
      cursor: { y: false, points: { size: 7 } },
      legend: { live: true },
      scales: { x: { time: true, range: (u, from, to) => [from - half, to + half] }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [axis, { ...axis, size: 64, values: (u, list) => list.map(v => v === null ? "" : show(v)) }],
      series: [
        { value: (u, v) => v === null ? "–" : new Date(v * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) },
        ...series.map(s => ({ label: s.label, stroke: colour(s.colour), fill: s.bars ? colour(s.colour) + "66" : undefined, width: s.bars ? 1 : 2, paths: s.bars ? bars : undefined,
          points: { show: !s.bars, size: 5 }, spanGaps: true, value: (u, v) => v === null || v === undefined ? "–" : show(v) })),
      ],
    }, [times, ...series.map(s => s.values)], box);
  }

  draw();
  const resize = new ResizeObserver(() => { if (plot && Math.abs(plot.width - box.clientWidth) > 2) plot.setSize({ width: Math.max(240, box.clientWidth), height: 190 }); });
  resize.observe(box);
  const themes = new MutationObserver(draw);
  themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", draw);
  return () => {
    resize.disconnect();
    themes.disconnect();
    system.removeEventListener("change", draw);
    plot.destroy();
  };
}
