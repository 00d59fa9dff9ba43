// The prompts behind a cell: the panel under a group of maps follows their cursor.
for (const panel of document.querySelectorAll(".samples")) {
  const near = 1.1;
  const lanes = [0, 1, -1, 2, -2, 3, -3];
  const maps = page.data(panel).maps;
  const rows = [...panel.querySelectorAll(".dots-row:not(.scale)")];
  const title = panel.querySelector("[data-cell]");
  const plot = panel.querySelector(".dots-plot");

  for (const map of maps) {
    const bytes = Uint8Array.from(atob(map.data), (character) => character.charCodeAt(0));
    map.steps = new DataView(bytes.buffer);
  }

  function values(map, row, column) {
    const start = (row * map.columns + column) * map.n;
    return Array.from({ length: map.n }, (_, i) => {
      const step = map.steps.getInt16(2 * (start + i), true);
      return step === -32768 ? NaN : step * map.step;
    });
  }

  // The same round numbers as the page was written with.
  function ticks(low, high) {
    const rough = (high - low) / 5;
    const scale = 10 ** Math.floor(Math.log10(rough));
    const step = scale * [1, 2, 2.5, 5, 10].find((each) => each * scale >= rough * 0.999);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / scale === 2.5 ? 1 : 0));
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) found.push([i * step, digits]);
    return found;
  }

  const text = (value, digits) =>
    (digits <= 4 ? value.toFixed(digits) : value.toExponential(1)).replace("-", "\u2212");

  function mark(kind, left) {
    const element = document.createElement("i");
    element.className = kind;
    element.style.left = `${left.toFixed(2)}%`;
    return element;
  }

  function show(row, column, name) {
    const all = maps.map((map) => values(map, row, column));
    const known = all.flat().filter(Number.isFinite);
    let low = Math.min(0, ...known);
    let high = Math.max(0, ...known);
    const room = 0.04 * (high - low || 1);
    low = low < 0 ? low - room : low;
    high += room;
    const place = (value) => (100 * (value - low)) / (high - low);
    title.textContent = name;
    plot.style.setProperty("--zero-at", `${place(0)}%`);
    all.forEach((own, index) => {
      const ends = lanes.map(() => -Infinity);
      const order = own.map((value, i) => [value, i]).filter(([value]) => Number.isFinite(value));
      order.sort((a, b) => a[0] - b[0]);
      const dots = order.map(([value, i]) => {
        const at = place(value);
        let lane = ends.findIndex((end) => at - end >= near);
        if (lane < 0) lane = ends.indexOf(Math.min(...ends));
        ends[lane] = at;
        const dot = mark("dot g0", at);
        dot.dataset.e = i;
        dot.style.setProperty("--l", lanes[lane]);
        return dot;
      });
      const mean = order.reduce((sum, [value]) => sum + value, 0) / order.length;
      const track = rows[index].querySelector(".track");
      track.replaceChildren(...dots, ...(order.length ? [mark("mean", place(mean))] : []));
      rows[index].querySelector(".mean-text").textContent = order.length ? Number(mean.toPrecision(4)).toString().replace("-", "\u2212") : "no value";
    });
    const scale = panel.querySelector(".scale .track");
    scale.replaceChildren(...ticks(low, high).map(([value, digits]) => {
      const tick = document.createElement("b");
      tick.style.left = `${place(value).toFixed(2)}%`;
      tick.textContent = text(value, digits);
      return tick;
    }));
  }

  panel.closest(".maps").addEventListener("cell", ({ detail }) => {
    if (detail.rows * detail.columns * maps[0].n * 2 === maps[0].steps.byteLength) {
      show(detail.row, detail.column, detail.name);
    }
  });
}
