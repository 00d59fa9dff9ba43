"""The attention viewer: CircuitsVis draws exactly the pattern that was chosen."""

import numpy as np
import pytest

pytestmark = pytest.mark.browser

SIZE = 6
# Every cell's picture, as seen on the screen: canvas pixels at the cells' centres.
SAMPLE = """([canvas, box, size]) => {
  const context = canvas.getContext("2d");
  const {data, width, height} = context.getImageData(0, 0, canvas.width, canvas.height);
  const ink = (x, y) => {
    const at = 4 * (y * width + x);
    return data[at + 3] ? (data[at + 2] - data[at + 1]) * data[at + 3] / 255 : 0;
  };
  if (!box) {
    let [left, top, right, bottom] = [width, height, 0, 0];
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (ink(x, y) > 90) {
      left = Math.min(left, x); right = Math.max(right, x);
      top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
    box = [left, top, right, bottom];
  }
  const cells = [];
  for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
    const x = Math.round(box[0] + (column + 0.5) * (box[2] - box[0]) / size);
    const y = Math.round(box[1] + (row + 0.5) * (box[3] - box[1]) / size);
    cells.push(ink(x, y));
  }
  return [box, cells];
}"""


@pytest.fixture(scope="module")
def viewer(tmp_path_factory):
    """A page with three heads whose patterns anyone can tell apart: diagonal, first, random."""
    import synthetic

    from interp.report import Attention, Report, Section, render

    first = np.zeros((SIZE, SIZE))
    first[:, 0] = 1
    mixed = synthetic.pattern(3, 1, SIZE)[0]
    patterns = np.stack([np.eye(SIZE), first, mixed])
    tokens = ["<s>", "</script>", " a", "\n", "<img src=x onerror=window.hacked=1>", "."]
    block = Attention("Heads", [tokens], [patterns], [(0, 0), (0, 1), (1, 0)])
    report = Report("a", "not run", [Section("s", [block])])
    path = tmp_path_factory.mktemp("viewer") / "report.html"
    path.write_text(render.page(synthetic.result(report=report)), encoding="utf-8")
    return path, patterns


def test_the_pictures_pixels_are_the_pattern(viewer, visit):
    path, patterns = viewer
    opened = visit(path)
    page = opened.page
    page.wait_for_selector(".mount canvas")
    page.wait_for_timeout(300)
    box = None
    for head, name in enumerate(["L0H0", "L0H1", "L1H0"]):
        page.select_option("[data-head]", name)
        page.wait_for_timeout(300)
        canvas = page.query_selector(".mount canvas")
        box, ink = page.evaluate(SAMPLE, [canvas, box, SIZE])
        seen = np.array(ink).reshape(SIZE, SIZE)
        visible = np.tril(np.ones((SIZE, SIZE))) > 0
        assert np.corrcoef(seen[visible], patterns[head][visible])[0, 1] > 0.99
        assert seen[~visible].max() < 20
    assert opened.complaints == []
    assert page.evaluate("window.hacked") is None


def test_the_table_beside_it_follows_and_has_the_same_numbers(viewer, visit):
    path, patterns = viewer
    page = visit(path).page
    page.wait_for_selector(".mount canvas")
    page.select_option("[data-head]", "L1H0")
    cells = page.locator("figure.weights tbody td").all_inner_texts()
    shown = np.array([float(text or 0) for text in cells]).reshape(SIZE, SIZE)
    assert np.abs(shown - patterns[2]).max() < 0.008
    names = page.locator("figure.weights tbody th").all_inner_texts()
    assert names[:4] == ["<s>", "</script>", "·a", "↵"]


def test_its_table_has_a_cursor_that_speaks(viewer, visit):
    page = visit(viewer[0]).page
    page.wait_for_selector(".mount canvas")
    page.locator("figure.weights .map").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    said = page.locator("section.attention .readout").inner_text()
    assert said == "·a (2) looks at </script> (1): 0.00"
    assert page.locator("figure.weights td.cursor").count() == 1


def test_small_pictures_of_the_heads_show_their_patterns_and_choose(viewer, visit):
    path, patterns = viewer
    page = visit(path).page
    page.wait_for_selector(".mount canvas")
    assert page.locator(".thumbs button").all_inner_texts() == ["L0H0", "L0H1", "L1H0"]
    shown = page.locator(".thumbs canvas").evaluate_all(
        """all => all.map(c => [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]
             .filter((_, i) => i % 4 === 3))"""
    )
    for seen, pattern in zip(shown, patterns, strict=True):
        assert np.abs(np.array(seen) / 255 - pattern.ravel()).max() < 0.005
    page.locator("[data-thumb='L0H1']").click()
    assert page.locator("[data-head]").input_value() == "L0H1"
    assert page.locator(".thumbs [aria-pressed='true']").inner_text() == "L0H1"
    assert page.evaluate("location.hash") == "#head=L0H1"
