// Charts: Plotly is put in when the first one comes near, and draws with the page's own colours.
(() => {
  const drawn = [];
  // Plotly reads some HTML in its texts; what is shown must be what was written.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    return {
      text: get("--ink"), quiet: get("--quiet"), line: get("--line"), paper: get("--paper"),
      series: [1, 2, 3, 4, 5, 6, 7, 8].map((i) => get(`--series-${i}`)),
      font: get("--sans"),
    };
  }

  const faint = (colour) => {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
    return `rgba(${r},${g},${b},0.16)`;
  };

  function traces(chart, look) {
    const all = [];
    chart.series.forEach((series, i) => {
      const colour = look.series[i % look.series.length];
      const x = series.x.map((value) => (typeof value === "string" ? plain(value) : value));
      const name = plain(series.name);
      const bars = chart.kind === "bar" || chart.kind === "stacked";
      if (series.low && chart.kind === "line") {
        all.push({
          type: "scatter", mode: "lines", x: [...x, ...[...x].reverse()],
          y: [...series.high, ...[...series.low].reverse()], fill: "toself", fillcolor: faint(colour),
          line: { width: 0 }, hoverinfo: "skip", showlegend: false, legendgroup: name,
        });
      }
      const error = series.low && chart.kind !== "line" ? {
        type: "data", symmetric: false, array: series.high.map((h, k) => h - series.y[k]),
        arrayminus: series.low.map((l, k) => series.y[k] - l), color: look.quiet, thickness: 1.2, width: 3,
      } : undefined;
      all.push({
        type: bars ? "bar" : "scatter",
        mode: series.line ? "lines" : chart.kind === "scatter" ? "markers" : series.x.length > 40 ? "lines" : "lines+markers",
        x, y: series.y, name, legendgroup: name, error_y: error,
        marker: { color: colour, size: chart.kind === "scatter" ? 7 : 5, opacity: chart.kind === "scatter" ? 0.75 : 1 },
        line: { color: series.line ? look.quiet : colour, width: series.line ? 1 : 2 },
        hoverinfo: series.line ? "skip" : undefined,
      });
    });
    return all;
  }

  function layout(chart, look) {
    const axis = (title) => ({
      title: { text: plain(title), standoff: 8, font: { size: 12, color: look.quiet } },
      gridcolor: look.line, zerolinecolor: look.quiet, zerolinewidth: 1, linecolor: look.line,
      tickfont: { size: 11, color: look.quiet }, automargin: true,
    });
    return {
      height: chart.kind === "scatter" ? 400 : 320,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: look.font, size: 12, color: look.text },
      margin: { l: 52, r: 12, t: 8, b: 44 },
      barmode: chart.kind === "stacked" ? "relative" : "group", bargap: 0.25,
      showlegend: chart.series.length > 1,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
      hovermode: chart.kind === "scatter" ? "closest" : "x unified",
      hoverlabel: { bgcolor: look.paper, bordercolor: look.line, font: { size: 12, color: look.text } },
      xaxis: { ...axis(chart.x_label), showgrid: false, zeroline: chart.kind === "scatter" }, yaxis: axis(chart.y_label),
    };
  }

  function draw({ target, chart }) {
    const look = colours();
    Plotly.react(target, traces(chart, look), layout(chart, look), {
      displayModeBar: false, responsive: true, showTips: false,
    });
  }

  for (const figure of document.querySelectorAll("figure.chart")) {
    page.when_near(figure, () => {
      page.library("plotly");
      const entry = { target: figure.querySelector(".plot"), chart: page.data(figure) };
      drawn.push(entry);
      draw(entry);
      figure.dataset.drawn = "true";
    });
  }
  document.addEventListener("themechange", () => drawn.forEach(draw));
})();
