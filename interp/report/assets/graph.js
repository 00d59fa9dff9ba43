// Circuit graphs: drag, keys and buttons move and zoom; a part that is pointed at or chosen lights
// up with its edges.
for (const element of document.querySelectorAll("section.graph")) {
  const box = element.querySelector(".canvas-box");
  const svg = box.querySelector("svg");
  const view = svg.querySelector(".view");
  const readout = element.querySelector(".readout");
  const edges = [...svg.querySelectorAll(".edge")];
  const nodes = [...svg.querySelectorAll(".node")];
  const weights = [...element.querySelectorAll(".data tbody tr")].map((row) =>
    [...row.cells].map((cell) => cell.textContent));
  let at = { x: 0, y: 0, k: 1 };
  let chosen = null;

  function move(x, y, k) {
    at = { x, y, k: Math.max(0.3, Math.min(8, k)) };
    view.setAttribute("transform", `translate(${at.x} ${at.y}) scale(${at.k})`);
  }

  function zoom(factor) {
    const { width, height } = svg.viewBox.baseVal;
    const k = Math.max(0.3, Math.min(8, at.k * factor));
    const ratio = k / at.k;
    move(width / 2 - (width / 2 - at.x) * ratio, height / 2 - (height / 2 - at.y) * ratio, k);
  }

  function light(name) {
    svg.classList.toggle("lit", Boolean(name));
    const near = new Set([name]);
    for (const edge of edges) {
      const { source, target } = edge.dataset;
      const touches = source === name || target === name;
      edge.classList.toggle("on", touches);
      if (touches) near.add(source).add(target);
    }
    for (const node of nodes) node.classList.toggle("on", near.has(node.dataset.name));
    if (!name) return;
    const own = weights.filter(([source, target]) => source === name || target === name).slice(0, 6);
    const said = own.map(([source, target, via, weight]) =>
      `${source === name ? "→ " + target : "← " + source}${via ? ` (${via})` : ""} ${weight}`);
    readout.textContent = `${name}:  ${said.join("  ·  ") || "no edges"}`;
  }

  svg.addEventListener("pointermove", (event) => {
    const name = event.target.closest(".node")?.dataset.name;
    if (!drag) light(name || chosen);
  });
  svg.addEventListener("pointerleave", () => light(chosen));

  let drag = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    drag = { from: [event.clientX, event.clientY], at: { ...at }, moved: false };
  });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    const scale = svg.viewBox.baseVal.width / svg.getBoundingClientRect().width;
    const [dx, dy] = [event.clientX - drag.from[0], event.clientY - drag.from[1]];
    drag.moved = drag.moved || Math.hypot(dx, dy) > 4;
    if (drag.moved) move(drag.at.x + dx * scale, drag.at.y + dy * scale, at.k);
  });
  addEventListener("pointerup", (event) => {
    const moved = drag?.moved;
    drag = null;
    const node = event.target.closest?.("section.graph") === element && event.target.closest(".node");
    if (moved || !node) return;
    const { head, name } = node.dataset;
    if (head) page.set("head", page.get("head") === head ? undefined : head);
    else { chosen = chosen === name ? null : name; light(chosen); }
  });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [-40, 0], ArrowLeft: [40, 0], ArrowDown: [0, -40], ArrowUp: [0, 40] }[event.key];
    if (step) move(at.x + step[0], at.y + step[1], at.k);
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") move(0, 0, 1);
    else return;
    event.preventDefault();
  });
  for (const button of element.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      const factor = Number(button.dataset.zoom);
      if (factor) zoom(factor);
      else move(0, 0, 1);
    });
  }
  page.on("head", (head) => {
    const node = nodes.find((each) => each.dataset.head === head);
    for (const each of nodes) each.classList.toggle("selected", each === node);
    chosen = node ? node.dataset.name : null;
    light(chosen);
  });
}
