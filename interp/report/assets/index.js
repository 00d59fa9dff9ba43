// The index: filter, sort and group its runs.
(() => {
  const bar = document.querySelector("[data-index-bar]");
  if (!bar) return;
  const holder = document.querySelector("[data-runs]");
  const runs = [...holder.querySelectorAll(".run")];
  const [filter, sort, group] = ["[data-filter]", "[data-sort]", "[data-group]"].map((q) => bar.querySelector(q));
  const orders = {
    experiment: (a, b) => (a.dataset.experiment === "compare") - (b.dataset.experiment === "compare") || a.dataset.experiment.localeCompare(b.dataset.experiment),
    date: (a, b) => b.dataset.date.localeCompare(a.dataset.date),
    seconds: (a, b) => Number(b.dataset.seconds) - Number(a.dataset.seconds),
    verdict: (a, b) => a.dataset.verdict.localeCompare(b.dataset.verdict),
    status: (a, b) => a.dataset.status.localeCompare(b.dataset.status),
  };

  function heading(model, task) {
    const title = document.createElement("h2");
    title.textContent = model || "All runs";
    if (task) {
      const part = document.createElement("span");
      part.textContent = task === "none" ? "no task" : task;
      title.append(" ", part);
    }
    return title;
  }

  function show() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = runs.filter((run) => words.every((word) => run.textContent.toLowerCase().includes(word)));
    const groups = new Map();
    for (const run of [...kept].sort(orders[sort.value])) {
      const { model, task } = run.dataset;
      const key = { both: JSON.stringify([model, task]), model: JSON.stringify([model, ""]), none: "[]" }[group.value];
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(run);
    }
    const keys = [...groups.keys()].sort();
    holder.replaceChildren(...keys.map((key) => {
      const section = document.createElement("section");
      section.className = `group by-${group.value}`;
      const list = document.createElement("ul");
      list.className = "runs";
      list.append(...groups.get(key));
      section.append(heading(...JSON.parse(key)), list);
      return section;
    }));
    bar.querySelector(".count").textContent = `${kept.length} of ${runs.length} runs`;
  }
  for (const control of [filter, sort, group]) control.addEventListener("input", show);
  show();
  page.on("find", (name) => {
    filter.value = name || "";
    show();
  });
})();
