// Heat maps and token strips: one cursor over all maps of a group that have the same shape, a
// readout in words, the switches, and the head selection that all views of the page share.
const maps = (() => {
  function wrap(figure) {
    const box = figure.querySelector(".map");
    const image = box.querySelector("img");
    const body = image ? null : box.querySelector("tbody");
    const rows = image ? Number(image.getAttribute("height")) : body.rows.length;
    const columns = image ? Number(image.getAttribute("width")) : body.rows[0].cells.length - 1;
    return {
      figure, box, image, rows, columns,
      title: figure.querySelector("figcaption strong").textContent,
      cell: (row, column) => (image ? null : body.rows[row].cells[column + 1]),
      row_label: (row) => (image ? String(row) : body.rows[row].cells[0].textContent),
      column_label: (column) =>
        image ? String(column) : box.querySelector("thead tr").cells[column + 1].textContent,
      pixels: null,
    };
  }

  // The value under a pixel of a large map, to the 255 steps that its opacity has.
  function pixel(map, row, column) {
    if (!map.pixels) {
      const canvas = document.createElement("canvas");
      canvas.width = map.columns;
      canvas.height = map.rows;
      const context = canvas.getContext("2d");
      context.drawImage(map.image, 0, 0);
      map.pixels = context.getImageData(0, 0, map.columns, map.rows).data;
    }
    const at = 4 * (row * map.columns + column);
    const { low, high, scale } = map.figure.dataset;
    const share = map.pixels[at + 3] / 255;
    const value = scale === "diverging"
      ? share * high * (map.pixels[at] > map.pixels[at + 2] ? -1 : 1)
      : Number(low) + share * (high - low);
    return `≈ ${value.toPrecision(2).replaceAll("-", "\u2212")}`;
  }

  function place(map, row, column) {
    const { rowAxis, columnAxis, byHead } = map.figure.dataset;
    const [left, above] = [map.row_label(row), map.column_label(column)];
    if (byHead !== undefined) return `L${left}H${above}`;
    return `${rowAxis || "query"} ${left}, ${columnAxis || "key"} ${above}`;
  }

  function value(map, row, column) {
    if (map.image) return pixel(map, row, column);
    const cell = map.cell(row, column);
    const { factor = "", unit = "" } = map.figure.dataset;
    return cell.classList.contains("x") ? "no value" : `${cell.textContent}${factor} ${unit}`.trim();
  }

  function group(element) {
    const members = [...element.querySelectorAll("figure.heatmap")].map(wrap);
    const readout = element.querySelector(".readout");
    let cursor = null;

    function show(map, row, column) {
      for (const cell of element.querySelectorAll("td.cursor")) cell.classList.remove("cursor");
      cursor = { map, row, column };
      const alike = members.filter((m) => m.rows === map.rows && m.columns === map.columns);
      for (const other of alike) other.cell(row, column)?.classList.add("cursor");
      const parts = alike.map((m) => (alike.length > 1 ? `${m.title} ` : "") + value(m, row, column));
      const name = place(map, row, column);
      if (readout) readout.textContent = `${name}:  ${parts.join("  ·  ")}`;
      const { rows, columns } = map;
      element.dispatchEvent(new CustomEvent("cell", { detail: { row, column, rows, columns, name } }));
    }

    function locate(map, event) {
      if (map.image) {
        const box = map.image.getBoundingClientRect();
        const column = Math.floor(((event.clientX - box.left) / box.width) * map.columns);
        const row = Math.floor(((event.clientY - box.top) / box.height) * map.rows);
        return row >= 0 && column >= 0 && row < map.rows && column < map.columns ? [row, column] : null;
      }
      const cell = event.target.closest("tbody td");
      return cell ? [cell.parentNode.sectionRowIndex, cell.cellIndex - 1] : null;
    }

    for (const map of members) {
      map.box.addEventListener("pointermove", (event) => {
        const at = locate(map, event);
        if (at && !(cursor && cursor.map === map && cursor.row === at[0] && cursor.column === at[1])) show(map, ...at);
      });
      map.box.addEventListener("click", (event) => {
        const at = locate(map, event);
        if (at) { show(map, ...at); choose(map, ...at); }
      });
      map.box.addEventListener("keydown", (event) => {
        let { row, column } = cursor && cursor.map.rows === map.rows && cursor.map.columns === map.columns
          ? cursor : { row: 0, column: -1 };
        const fresh = column < 0;
        const step = {
          ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0],
          PageDown: [8, 0], PageUp: [-8, 0],
        }[event.key];
        if (event.key === "Enter" || event.key === " ") {
          if (!fresh) choose(map, row, column);
        } else if (event.key === "Escape") page.set("head", undefined);
        else if (event.key === "Home") column = 0;
        else if (event.key === "End") column = map.columns - 1;
        else if (step) {
          if (fresh) column = 0;
          else [row, column] = [row + step[0], column + step[1]];
        } else return;
        event.preventDefault();
        if (column < 0) return;
        row = Math.max(0, Math.min(map.rows - 1, row));
        column = Math.max(0, Math.min(map.columns - 1, column));
        show(map, row, column);
        map.cell(row, column)?.scrollIntoView({ block: "nearest", inline: "nearest" });
      });
    }

    function choose(map, row, column) {
      if (map.figure.dataset.byHead === undefined) return;
      const head = place(map, row, column);
      page.set("head", page.get("head") === head ? undefined : head);
    }

    if (members.some((map) => map.figure.dataset.byHead !== undefined)) {
      page.on("head", (head) => {
        for (const cell of element.querySelectorAll("td.selected")) cell.classList.remove("selected");
        const found = /^L(\d+)H(\d+)$/.exec(head || "");
        if (!found) return;
        let first = null;
        for (const map of members.filter((m) => m.figure.dataset.byHead !== undefined)) {
          const row = [...Array(map.rows).keys()].find((i) => map.row_label(i) === found[1]);
          const column = [...Array(map.columns).keys()].find((i) => map.column_label(i) === found[2]);
          if (row === undefined || column === undefined) continue;
          map.cell(row, column)?.classList.add("selected");
          first = first || [map, row, column];
        }
        if (first) show(...first);
      });
    }

    element.querySelector("[data-values]")?.addEventListener("change", (event) => {
      element.querySelector(".grid").classList.toggle("values", event.target.checked);
      for (const map of members) map.figure.classList.toggle("values", event.target.checked);
    });
    element.querySelector("[data-shared]")?.addEventListener("change", (event) => {
      share(members, event.target.checked);
    });
  }

  // One scale for all maps of a kind and unit: the cells keep their own places, the table moves
  // them. Legends say the range that is in force.
  function share(members, shared) {
    const kinds = new Map();
    for (const map of members) {
      const { scale, unit } = map.figure.dataset;
      const key = `${scale} ${unit}`;
      if (!kinds.has(key)) kinds.set(key, []);
      kinds.get(key).push(map);
    }
    for (const alike of kinds.values()) {
      const ends = alike.map((m) => [Number(m.figure.dataset.low), Number(m.figure.dataset.high)]);
      const [low, high] = [Math.min(...ends.map((e) => e[0])), Math.max(...ends.map((e) => e[1]))];
      const widest = alike[ends.findIndex((e) => e[1] === high)];
      const lowest = alike[ends.findIndex((e) => e[0] === low)];
      alike.forEach((map, i) => {
        const { figure } = map;
        const [low_end, high_end] = [figure.querySelector(".low"), figure.querySelector(".high")];
        figure.own = figure.own || [low_end.textContent, high_end.textContent];
        const diverging = figure.dataset.scale === "diverging";
        const from = diverging ? 0 : low;
        const own = diverging ? 0 : ends[i][0];
        const range = high - from;
        figure.style.setProperty("--k", shared && range > 0 ? (ends[i][1] - own) / range : 1);
        figure.style.setProperty("--c", shared && range > 0 ? (own - from) / range : 0);
        const texts = shared
          ? [lowest.figure.own?.[0] || lowest.figure.querySelector(".low").textContent,
             widest.figure.own?.[1] || widest.figure.querySelector(".high").textContent]
          : figure.own;
        [low_end.textContent, high_end.textContent] = texts;
      });
    }
  }

  for (const element of document.querySelectorAll(".maps")) group(element);
  return { group };
})();
