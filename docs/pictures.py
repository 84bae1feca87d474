"""Makes the pictures of README and docs/study_page.md from a finished study.

    make study && python docs/pictures.py results/margin_sweep

Copies the report's figure, takes a picture of the study's page in a headless Chromium, and prints
the verdict that README quotes.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from conspo_study.terminal.status import study_status
from conspo_study.watch import make_server

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
FIGURE = "accuracy_against_margin.png"
WIDTH, LONGEST = 1300, 4000
"""Of the page's picture, in pixels."""


def page_picture(study: Path, path: Path) -> None:
    """Write a picture of the whole overview of a study. Needs Chromium."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from browser import Browser

    with make_server(study) as server, tempfile.TemporaryDirectory() as folder:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Browser(Path(folder))
        try:
            size = {"width": WIDTH, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
            browser.call("Emulation.setDeviceMetricsOverride", **size)
            browser.open(server.link)
            browser.wait("document.querySelectorAll('canvas').length > 0")
            height = int(browser.look("document.documentElement.scrollHeight"))
            size["height"] = min(height, LONGEST)
            browser.call("Emulation.setDeviceMetricsOverride", **size)
            # A name instead of this machine's path.
            shown = f"results/{study.name}"
            browser.look(f"document.querySelector('.title .meta').textContent = ' {shown}'")
            picture = browser.call("Page.captureScreenshot", format="png")["data"]
        finally:
            browser.close()
            server.shutdown()
    path.write_bytes(base64.b64decode(picture))


def main() -> None:
    """Make the pictures, and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("study", type=Path, help="results directory, with its report")
    study = parser.parse_args().study.resolve()
    verdict = study_status(study).verdict
    if not verdict:
        sys.exit(f"{study} has no report of its present state: conspo report {study}")
    shutil.copyfile(study / "figures" / FIGURE, IMAGES / "margin_sweep.png")
    page_picture(study, IMAGES / "study_page.png")
    print(verdict)


if __name__ == "__main__":
    main()
