"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  const palette = ["#2a9d5c", "#5b7fd6", "#e07b39", "#8e6bbf", "#2bb3c0", "#d1495b", "#7a8f3c", "#c77dba"];
  const count = new Intl.NumberFormat("en");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const theme = () => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", "font.color": colour("--text"),
    "xaxis.gridcolor": colour("--line"), "yaxis.gridcolor": colour("--line"), "xaxis.zerolinecolor": colour("--line"),
    "yaxis.zerolinecolor": colour("--line"), "hoverlabel.bgcolor": colour("--card"), "hoverlabel.font.color": colour("--text"),
    "hoverlabel.bordercolor": colour("--line"),
  });
  const set = (layout, changes) => {
    for (const [path, value] of Object.entries(changes)) {
      const names = path.split(".");
      const last = names.pop();
      names.reduce((at, name) => (at[name] ??= {}), layout)[last] = value;
    }
    return layout;
  };

  // A layer in words and numbers.
  function showLayer(name) {
    const item = data.layers[name];
    if (!item) return;
    const panel = document.getElementById("layer");
    const rows = (title, counts) => {
      const total = Object.values(counts).reduce((sum, value) => sum + value, 0);
      const lines = Object.entries(counts).filter(([, value]) => value).map(([key, value]) =>
        `<tr><td>${key}</td><td>${count.format(value)}</td><td>${(100 * value / total).toFixed(1)}%</td></tr>`);
      return `<table><tr><th>${title}</th><th>${count.format(total)}</th><th></th></tr>${lines.join("")}</table>`;
    };
    const heading = document.createElement("h3");
    heading.textContent = `${name}: bound by ${item.bound}`;
    panel.innerHTML = rows("cycles", item.cycles) + "<br>" + rows("DRAM words", item.dram_words);
    panel.prepend(heading);
    panel.hidden = false;
    panel.scrollIntoView({ block: "nearest" });
  }

  // The timeline: what is too short to be seen is drawn together with its neighbours, and by itself once one zooms in.
  const timeline = data.timeline;
  const visible = [0, timeline.cycles];
  function bars(unit, from, to) {
    const least = (to - from) / 900;
    let low = 0, high = unit.begin.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (unit.end[middle] < from) low = middle + 1; else high = middle;
    }
    const found = [];
    for (let i = low; i < unit.begin.length && unit.begin[i] <= to; i++) {
      const last = found[found.length - 1];
      const short = last && (last.end - last.begin < least || unit.end[i] - unit.begin[i] < least);
      if (last && unit.begin[i] - last.end < least && (last.layer === unit.layer[i] || short)) {
        last.end = Math.max(last.end, unit.end[i]);
        last.count += unit.count[i];
        if (last.names[last.names.length - 1] !== unit.layer[i]) last.names.push(unit.layer[i]);
      } else {
        found.push({ begin: unit.begin[i], end: unit.end[i], layer: unit.layer[i], number: unit.number[i], count: unit.count[i],
          names: [unit.layer[i]] });
      }
    }
    return found;
  }
  function traces() {
    return timeline.units.map((unit) => {
      const found = bars(unit, visible[0], visible[1]);
      const name = (layer) => (layer < 0 ? "no layer" : timeline.layers[layer]);
      return {
        type: "bar", orientation: "h", name: unit.name, showlegend: false, y: found.map(() => unit.name),
        base: found.map((item) => item.begin), x: found.map((item) => item.end - item.begin),
        marker: { color: found.map((item) => palette[(item.layer + palette.length) % palette.length]), line: { width: 0 } },
        customdata: found.map((item) => [
          item.names.length > 2 ? `${name(item.names[0])} ... ${name(item.names[item.names.length - 1])}` : item.names.map(name).join(", "),
          item.count > 1 ? `${item.count} instructions from ${item.number} on` : `instruction ${item.number}`, item.begin, item.end - 1,
          name(item.layer)]),
        hovertemplate: `${unit.name}: %{customdata[0]}<br>%{customdata[1]}<br>cycles %{customdata[2]:,} to %{customdata[3]:,}<extra></extra>`,
      };
    });
  }
  const timelineLayout = () => set({
    height: 300, margin: { l: 10, r: 20, t: 10, b: 45 }, bargap: 0.2, barmode: "overlay", dragmode: "zoom",
    xaxis: { title: { text: "cycle" }, range: [...visible] },
    yaxis: { automargin: true, autorange: "reversed", fixedrange: true, type: "category" },
  }, theme());
  function drawTimeline() {
    return Plotly.react("figure-timeline", traces(), timelineLayout(), { ...config, scrollZoom: true });
  }
  function zoomTo(from, to) {
    visible[0] = Math.max(0, from);
    visible[1] = Math.min(timeline.cycles, Math.max(to, from + 10));
    return drawTimeline();
  }

  const drawn = Object.entries(data.figures).map(([name, figure]) => {
    const div = document.getElementById(`figure-${name}`);
    return Plotly.newPlot(div, figure.data, set(figure.layout, theme()), config).then(() => {
      div.on("plotly_click", (event) => {
        const point = event.points[0];
        showLayer(typeof point.customdata === "string" ? point.customdata : name === "snr" ? point.x : point.y);
      });
    });
  });
  drawn.push(drawTimeline().then((div) => {
    div.on("plotly_relayout", (change) => {
      if ("xaxis.range[0]" in change) zoomTo(change["xaxis.range[0]"], change["xaxis.range[1]"]);
      else if ("xaxis.range" in change) zoomTo(change["xaxis.range"][0], change["xaxis.range"][1]);
      else if (change["xaxis.autorange"]) zoomTo(0, timeline.cycles);
    });
    div.on("plotly_click", (event) => showLayer(event.points[0].customdata[4]));
  }));
  document.getElementById("whole").addEventListener("click", () => zoomTo(0, timeline.cycles));
  for (const row of document.querySelectorAll("tr[data-layer]")) {
    row.addEventListener("click", () => showLayer(row.dataset.layer));
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") showLayer(row.dataset.layer); });
  }
  dark.addEventListener("change", () => {
    for (const div of document.querySelectorAll(".figure")) Plotly.relayout(div, theme());
  });
  Promise.all(drawn).then(() => { document.body.dataset.drawn = "yes"; });
})();
