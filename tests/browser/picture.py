"""Takes the README's pictures of real reports: `make picture`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

REPORTS = Path(__file__).parent.parent.parent / "reports"
# Name of the picture, the page and what is chosen in it, the first and last thing on the picture.
PICTURES = (
    ("example", "smollm2-135m/ioi/logit_attribution/report.html#head=L23H3", "main", ".samples"),
    ("example-graph", "smollm2-135m/none/head_circuits/report.html#head=L16H0", ".graph", ".graph"),
    ("example-index", "index.html", "main", ".runs >> nth=-1"),
)
MARGIN = 24


def main() -> None:
    pages = [REPORTS / address.partition("#")[0] for _, address, *_ in PICTURES]
    if missing := [str(page.relative_to(REPORTS)) for page in pages if not page.is_file()]:
        sys.exit(f"no {', '.join(missing)} in reports; run these experiments first")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("no chromium on this machine: apt install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=flags)
        window = browser.new_page(
            viewport={"width": 1280, "height": 1000}, reduced_motion="reduce", color_scheme="light"
        )
        for (name, address, first, last), page in zip(PICTURES, pages, strict=True):
            window.goto("about:blank")
            window.goto(page.as_uri() + "#" + address.partition("#")[2])
            window.wait_for_timeout(500)
            top, bottom = (window.locator(each).first.bounding_box() for each in (first, last))
            left = 0 if first == "main" else top["x"] - MARGIN
            over = 0 if first == "main" else MARGIN
            clip = {
                "x": left,
                "y": top["y"] - over,
                "width": 1280 - left,
                "height": bottom["y"] + bottom["height"] + MARGIN - top["y"] + over,
            }
            window.screenshot(path=REPORTS / f"{name}.png", full_page=True, clip=clip)
        browser.close()


if __name__ == "__main__":
    main()
