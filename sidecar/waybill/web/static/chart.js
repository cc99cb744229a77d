// Charts on a canvas: what they show stands in a script element of data, and in the table behind them.
"use strict";
(() => {
  const painted = (name) => { const at = document.createElement("i"); at.style.color = "var(" + name + ")"; document.body.append(at); const found = getComputedStyle(at).color; at.remove(); return found; };
  const zone = window.waybillZone;
  const said = (value, unit) => (value === null || value === undefined ? "no records" : value.toLocaleString("en", { maximumFractionDigits: 1 }) + unit);
  // The day stands below the first hour, and below each midnight.
  const hours = (step) => [step, "{HH}:{mm}", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1];
  const HEIGHT = 180;
  const drawn = [];
  const draw = (figure) => {
    const told = JSON.parse(figure.querySelector("script").textContent);
    const place = figure.querySelector("[data-plot]");
    const words = figure.querySelector("[data-said]");
    place.textContent = "";
    const line = painted("--link"), quiet = painted("--text-2"), grid = painted("--line"), band = painted("--hover");
    const axis = { stroke: quiet, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui" };
    const series = [{}];
    const bands = [];
    const bars = told.form === "bars";
    // Room for the halves of the first and the last bar.
    const half = bars ? ((told.data[0][1] ?? told.data[0][0] + 3600) - told.data[0][0]) / 2 : 0;
    told.series.forEach((one, at) => {
      const stroke = at === 0 ? line : quiet;
      if (one.part) series.push({ stroke: "transparent", width: 0, points: { show: false } });
      else series.push({ stroke, width: bars ? 0 : 2, dash: at === 0 ? undefined : [6, 4], spanGaps: false, fill: bars ? line : undefined,
        points: { show: !bars, size: 5 }, paths: bars ? uPlot.paths.bars({ size: [0.8, 60] }) : undefined });
    });
    if (told.band) bands.push({ series: told.band, fill: band });
    const tell = (at) => {
      if (at === null || at === undefined) return;
      const parts = told.series.map((one, i) => (one.part ? "" : one.name + " " + said(told.data[i + 1][at], told.unit))).filter(Boolean);
      words.textContent = zone.shown(told.data[0][at]) + ": " + parts.join(", ") + (told.notes ? ", " + told.notes[at] : "");
    };
    const marks = (chart) => {
      const paint = chart.ctx;
      paint.save();
      paint.strokeStyle = quiet; paint.setLineDash([4, 4]);
      for (const mark of told.marks || []) {
        const x = Math.round(chart.valToPos(mark.at, "x", true));
        if (x < chart.bbox.left || x > chart.bbox.left + chart.bbox.width) continue;
        paint.beginPath(); paint.moveTo(x, chart.bbox.top); paint.lineTo(x, chart.bbox.top + chart.bbox.height); paint.stroke();
      }
      paint.restore();
    };
    const chart = new uPlot({
      width: place.clientWidth || 600, height: HEIGHT, tzDate: (at) => (zone.isLocal() ? new Date(at * 1000) : uPlot.tzDate(new Date(at * 1000), "Etc/UTC")),
      legend: { show: false }, cursor: { drag: { x: false, y: false }, points: { size: 8 } }, series, bands,
      axes: [{ ...axis, label: zone.name(), labelFont: axis.font, labelSize: 20, labelGap: 4, values: [[86400, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1], hours(3600), hours(60)] },
        { ...axis, size: 60, values: (_, all) => all.map((one) => one.toLocaleString("en") + told.unit) }],
      scales: { x: { range: (_, low, high) => [low - half, high + half] }, y: { range: (_, low, high) => [0, Math.max(told.least || 1, high * 1.05)] } },
      hooks: { setCursor: [(one) => tell(one.cursor.idx)], draw: [marks] },
    }, told.data, place);
    figure._chart = chart;
    return { chart, figure, place, tell, length: told.data[0].length };
  };
  const all = () => { drawn.splice(0).forEach((one) => one.chart.destroy()); document.querySelectorAll("figure[data-chart]").forEach((one) => drawn.push(draw(one))); };
  document.addEventListener("keydown", (event) => {
    const figure = event.target.closest?.("figure[data-chart]");
    if (!figure || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const one = drawn.find((each) => each.figure === figure);
    if (!one) return;
    figure._at = Math.max(0, Math.min(one.length - 1, (figure._at ?? one.length) + (event.key === "ArrowLeft" ? -1 : 1)));
    one.tell(figure._at);
    one.chart.setCursor({ left: one.chart.valToPos(one.chart.data[0][figure._at], "x"), top: 40 });
    event.preventDefault();
  });
  addEventListener("resize", () => drawn.forEach((one) => one.chart.setSize({ width: one.place.clientWidth, height: HEIGHT })));
  document.addEventListener("click", (event) => { if (event.target.closest("[data-theme-switch]")) setTimeout(all); });
  document.addEventListener("waybill:zone", all);
  if (window.uPlot) all();
})();
