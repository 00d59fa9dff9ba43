// Circuit graphs: a part that is pointed at or chosen lights up with its edges, in the figure to read and in
// the larger one; keys go from part to part, and keys and buttons zoom.
for (const element of document.querySelectorAll("section.graph")) {
  const readout = element.querySelector(".readout");
  const hint = readout.textContent;
  const boxes = [...element.querySelectorAll(".canvas-box")];
  const edges = [...element.querySelectorAll(".edge")];
  const nodes = [...element.querySelectorAll(".node")];
  const weights = [...element.querySelectorAll(".list tbody tr")].map((row) =>
    [...row.cells].map((cell) => cell.textContent));
  // A head that stands at several positions is several parts of one choice.
  let chosen = [];

  function zoom(factor) {
    for (const svg of element.querySelectorAll(".canvas-box svg")) {
      svg.classList.toggle("zoomed", Boolean(factor));
      const width = Math.max(160, Math.min(6000, svg.getBoundingClientRect().width * factor));
      svg.style.width = factor ? `${width}px` : "";
    }
  }

  function light(names) {
    const near = new Set(names);
    for (const edge of edges) {
      const { source, target } = edge.dataset;
      const touches = names.includes(source) || names.includes(target);
      edge.classList.toggle("on", touches);
      if (touches) near.add(source).add(target);
    }
    for (const box of boxes) {
      const own = [...box.querySelectorAll(".node")].some((node) => names.includes(node.dataset.name));
      box.firstElementChild.classList.toggle("lit", own);
    }
    for (const node of nodes) node.classList.toggle("on", near.has(node.dataset.name));
    readout.textContent = names.map(said).join("\n") || hint;
  }

  function said(name) {
    const own = weights.filter(([source, target]) => source === name || target === name).slice(0, 6);
    const all = own.map(([source, target, via, weight]) =>
      `${source === name ? "→ " + target : "← " + source}${via ? ` (${via})` : ""} ${weight}`);
    return `${name}:  ${all.join("  ·  ") || "no edges"}`;
  }

  function choose(node) {
    const { head, name } = node.dataset;
    if (head) page.set("head", page.get("head") === head ? undefined : head);
    else { chosen = chosen.includes(name) ? [] : [name]; light(chosen); }
  }

  // The nearest part in a direction: along a line first, then across.
  function beside(from, parts, [dx, dy]) {
    const centre = (node) => {
      const { x, y, width, height } = node.querySelector("rect").getBBox();
      return [x + width / 2, y + height / 2];
    };
    const [x, y] = centre(from);
    let best = null;
    for (const part of parts) {
      const [px, py] = centre(part);
      const along = (px - x) * dx + (py - y) * dy;
      const across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      if (along < 1 || (dx && across > 1)) continue;
      const far = dx ? along : along * 10 + across;
      if (!best || far < best.far) best = { far, part };
    }
    return best?.part || from;
  }

  for (const box of boxes) {
    const svg = box.querySelector("svg");
    const parts = [...box.querySelectorAll(".node")];
    let cursor = null;
    const mark = (node) => {
      cursor?.classList.remove("cursor");
      cursor = node;
      if (!node) return light(chosen);
      node.classList.add("cursor");
      node.scrollIntoView({ block: "nearest", inline: "nearest" });
      light([node.dataset.name]);
    };
    svg.addEventListener("pointermove", (event) => {
      const node = event.target.closest(".node");
      light(node ? [node.dataset.name] : chosen);
    });
    svg.addEventListener("pointerleave", () => light(chosen));
    svg.addEventListener("click", (event) => {
      const node = event.target.closest(".node");
      if (node) choose(node);
    });
    box.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (step) mark(cursor ? beside(cursor, parts, step) : parts.find((node) => node.classList.contains("selected")) || parts[0]);
      else if ((event.key === "Enter" || event.key === " ") && cursor) choose(cursor);
      else if (event.key === "Escape") mark(null);
      else if (event.key === "+" || event.key === "=") zoom(1.25);
      else if (event.key === "-") zoom(0.8);
      else if (event.key === "0") zoom(0);
      else return;
      event.preventDefault();
    });
    box.addEventListener("blur", () => mark(null));
  }
  for (const button of element.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
  }
  page.on("head", (head) => {
    const own = nodes.filter((each) => head && each.dataset.head === head);
    for (const each of nodes) each.classList.toggle("selected", own.includes(each));
    chosen = [...new Set(own.map((each) => each.dataset.name))];
    light(chosen);
  });
}
