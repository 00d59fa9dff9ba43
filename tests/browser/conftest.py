"""The system's Chromium with every request but the opened file's own refused and written down."""

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Opened:
    """A page with what it said on the console and what it asked for."""

    page: object
    complaints: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    def read_through(self):
        """Scrolls to the end and back, so that everything that waits to be seen is drawn."""
        height = self.page.evaluate("document.documentElement.scrollHeight")
        for top in [*range(0, height, 600), 0]:
            self.page.evaluate("top => scrollTo({top, behavior: 'instant'})", top)
            self.page.wait_for_timeout(40)
        for kind in ("figure.chart", "section.attention"):
            for element in self.page.query_selector_all(kind):
                element.wait_for_selector("canvas, svg.main-svg", state="attached")


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install interp[browser]"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on this machine: apt install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens a file: visit(path, hash="", dark=False, width=1280, scripts=True)."""
    yield from visiting(chromium)


@pytest.fixture(scope="module")
def module_visit(chromium):
    """`visit` for a page that the tests of a module share."""
    yield from visiting(chromium)


def visiting(chromium):
    contexts = []

    def visit(path, hash="", dark=False, width=1280, scripts=True):
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        contexts.append(context)
        opened = Opened(context.new_page())
        own = Path(path).as_uri()

        def guard(route):
            url = route.request.url.partition("#")[0]
            if url == own or url.startswith("data:"):
                route.continue_()
            else:
                opened.requests.append(url)
                route.abort()

        context.route("**/*", guard)
        page = opened.page
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("dialog", lambda dialog: opened.complaints.append(dialog.message))
        page.goto(own + hash)
        return opened

    yield visit
    for context in contexts:
        context.close()


def comparison():
    """A run beside one whose head L2H1 has another effect on every prompt."""
    import synthetic

    from interp.compare import page
    from interp.report import Heatmap, Report, Section

    def run(shift, seed):
        samples = synthetic.samples(11)
        samples[2, 1] += shift
        block = Heatmap("Effects", samples.mean(-1), "layer", "head", unit="u", samples=samples)
        report = Report("a", "supported", [Section("s", [block])], files={"prompts": prompts()})
        return synthetic.result(report=report, seed=seed)

    return page._comparison(run(0, 0), run(2, 1), ["one", "two"])


def prompts():
    import pandas as pd

    texts = [f"prompt {i}" for i in range(16)]
    return pd.DataFrame(
        {
            "clean": texts,
            "corrupted": texts,
            "answer": "a",
            "wrong": "b",
            "kept": True,
            "cluster": texts,
        }
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A reports folder with a run of every state, hostile ones among them; name → page."""
    import hostile
    import synthetic

    from interp.report import render, store

    root = tmp_path_factory.mktemp("reports")
    everything = " ".join(hostile.PAYLOADS)
    one = synthetic.result()
    results = {
        "report": one,
        "states": synthetic.states(),
        "comparison": comparison(),
        "failed": synthetic.failed(),
        "hostile": hostile.result(everything),
        "hostile-failed": hostile.failed(everything),
    }
    pages, runs = {}, []
    for name, result in results.items():
        folder = root / "model" / "task" / name
        folder.mkdir(parents=True)
        store.save(folder, result)
        pages[name] = folder / "report.html"
        runs.append(store.load(folder))
    missing = [("parity", "Is it the same?", "interp run parity")]
    broken = [("experiments/x.py", "SyntaxError: <b>")]
    for name, page in {
        "index": render.index(runs, missing, broken),
        "empty": render.index([]),
    }.items():
        pages[name] = root / f"{name}.html"
        pages[name].write_text(page, encoding="utf-8")
    return pages
