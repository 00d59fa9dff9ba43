// Distributions and flows: a prompt that is pointed at is found in every row, and a row or part
// that is a head takes part in the page's choice of one.
for (const element of document.querySelectorAll("section.distribution")) {
  const { names } = page.data(element);
  const readout = element.querySelector(".readout");
  element.addEventListener("pointermove", (event) => {
    const dot = event.target.closest?.(".dot[data-e]");
    for (const other of element.querySelectorAll(".dot.same")) other.classList.remove("same");
    element.classList.toggle("pointing", Boolean(dot));
    if (!dot) return;
    for (const other of element.querySelectorAll(`.dot[data-e="${dot.dataset.e}"]`)) other.classList.add("same");
    if (names[dot.dataset.e]) readout.textContent = names[dot.dataset.e];
  });
}
for (const element of document.querySelectorAll("section.distribution, section.flow")) {
  element.addEventListener("click", (event) => {
    const head = event.target.closest("[data-head]")?.dataset.head;
    if (head && !getSelection().toString()) page.set("head", page.get("head") === head ? undefined : head);
  });
  page.on("head", (head) => {
    for (const part of element.querySelectorAll("[data-head]")) {
      part.classList.toggle("selected", Boolean(head) && part.dataset.head === head);
    }
  });
}
