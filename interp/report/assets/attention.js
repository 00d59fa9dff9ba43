// The attention viewer: CircuitsVis draws the pattern that the two selects choose; the table
// beside it shows the same numbers and has the cursor.
for (const element of document.querySelectorAll("section.attention")) {
  const { heads, prompts } = page.data(element);
  const prompt_picker = element.querySelector("[data-prompt]");
  const head_picker = element.querySelector("[data-head]");
  const mount = element.querySelector(".mount");
  const figure = element.querySelector("figure.weights");
  const shown = element.querySelector("[data-shown]");
  const readout = element.querySelector(".readout");
  let library = false;

  function weights(prompt, index) {
    const bytes = (prompt.bytes ||= Uint8Array.from(atob(prompt.data), (c) => c.charCodeAt(0)));
    const size = prompt.tokens.length;
    const per_head = prompt.causal ? (size * (size + 1)) / 2 : size * size;
    let at = index * per_head;
    return prompt.tokens.map((_, query) =>
      prompt.tokens.map((_, key) => (prompt.causal && key > query ? 0 : bytes[at++] / 255)));
  }

  function label(text, scope) {
    const header = document.createElement("th");
    header.scope = scope;
    const inner = document.createElement("bdi");
    inner.textContent = text;
    header.append(inner);
    return header;
  }

  function fill(tokens, pattern, masked) {
    const top = figure.querySelector("thead tr");
    top.replaceChildren(top.cells[0], ...tokens.map((text) => label(text, "col")));
    figure.querySelector("tbody").replaceChildren(...pattern.map((line, query) => {
      const row = document.createElement("tr");
      row.append(label(tokens[query], "row"), ...line.map((weight, key) => {
        const cell = document.createElement("td");
        if (masked && key > query) {
          cell.className = "m";
          return cell;
        }
        cell.className = "s";
        cell.style.setProperty("--v", weight.toFixed(3));
        cell.textContent = weight.toFixed(2);
        return cell;
      }));
      return row;
    }));
    figure.classList.toggle("values", tokens.length <= 20);
  }

  function draw(tokens, pattern) {
    // The library makes a new React root a call, so each pattern gets a new element.
    const target = document.createElement("div");
    target.id = `${element.id}-pattern`;
    // The mount has the name; the canvas inside it has none.
    target.setAttribute("aria-hidden", "true");
    mount.replaceChildren(target);
    const style = getComputedStyle(document.documentElement);
    CircuitsVis.render(target.id, CircuitsVis.AttentionPattern, {
      tokens,
      attention: pattern,
      minValue: 0,
      maxValue: 1,
      positiveColor: style.getPropertyValue("--pattern").trim(),
      upperTriColor: style.getPropertyValue("--masked").trim(),
      maskUpperTri: prompts[prompt_picker.value].causal,
      zoomed: false,
    });
  }

  // Small pictures of the viewer's heads; where these are many, of the chosen head's layer.
  const thumbs = element.querySelector(".thumbs");
  const most = 24;
  function neighbours() {
    if (heads.length <= most) return heads;
    const layer = head_picker.value.split("H")[0];
    return heads.filter((head) => head.split("H")[0] === layer).slice(0, most);
  }

  function thumbnail(head) {
    const prompt = prompts[prompt_picker.value];
    const size = prompt.tokens.length;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.thumb = head;
    button.setAttribute("aria-pressed", String(head === head_picker.value));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [size, size];
    const context = canvas.getContext("2d");
    const image = context.createImageData(size, size);
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--seq").trim();
    const rgb = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
    weights(prompt, heads.indexOf(head)).flat().forEach((weight, i) => {
      image.data.set([...rgb, Math.round(255 * weight)], 4 * i);
    });
    context.putImageData(image, 0, 0);
    button.append(canvas, head);
    button.addEventListener("click", () => page.set("head", head));
    return button;
  }

  function update() {
    const prompt = prompts[prompt_picker.value];
    if (library && thumbs) {
      const shown = thumbs.querySelector(":focus")?.dataset.thumb;
      thumbs.replaceChildren(...neighbours().map(thumbnail));
      if (shown) thumbs.querySelector(`[data-thumb="${shown}"]`)?.focus();
    }
    const pattern = weights(prompt, head_picker.selectedIndex);
    shown.textContent = `${head_picker.value}, prompt ${Number(prompt_picker.value) + 1}`;
    fill(prompt.tokens, pattern, prompt.causal);
    if (library) draw(prompt.tokens, pattern);
    element.dataset.drawn = String(library);
  }

  function cell_at(event) {
    return event.target.closest?.("tbody td");
  }

  let cursor = [0, -1];
  function move(query, key) {
    const body = figure.querySelector("tbody");
    const size = body.rows.length;
    cursor = [Math.max(0, Math.min(size - 1, query)), Math.max(0, Math.min(size - 1, key))];
    for (const cell of body.querySelectorAll("td.cursor")) cell.classList.remove("cursor");
    const cell = body.rows[cursor[0]].cells[cursor[1] + 1];
    cell.classList.add("cursor");
    const names = prompts[prompt_picker.value].tokens;
    readout.textContent =
      `${names[cursor[0]]} (${cursor[0]}) looks at ${names[cursor[1]]} (${cursor[1]}): ${cell.textContent || "masked"}`;
    return cell;
  }
  const box = figure.querySelector(".map");
  box.addEventListener("pointermove", (event) => {
    const cell = cell_at(event);
    if (cell) move(cell.parentNode.sectionRowIndex, cell.cellIndex - 1);
  });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const from = cursor[1] < 0 ? [0, 0] : [cursor[0] + step[0], cursor[1] + step[1]];
    move(...from).scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  prompt_picker.addEventListener("change", () => page.set(`${element.id}-prompt`, prompt_picker.value));
  head_picker.addEventListener("change", () => page.set("head", head_picker.value));
  page.on(`${element.id}-prompt`, (value) => {
    if (prompts[value]) { prompt_picker.value = value; update(); }
  });
  page.on("head", (head) => {
    if (heads.includes(head)) { head_picker.value = head; update(); readout.textContent = ""; }
    else if (head) readout.textContent = `${head} is not among this viewer's heads.`;
  });
  document.addEventListener("themechange", () => library && update());
  page.when_near(element, () => {
    page.library("circuitsvis");
    library = true;
    update();
  });
}
