"""The page of a report: what it begins with, what lies behind tabs, and that nothing else runs."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser

from analysis.report.contents import LARGEST_SVG, ReportFigure
from analysis.report.writing import write_report, write_reports

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
QUESTION = "Is a margin worth it? <b>"


def asked(folder: Path, text: str = QUESTION) -> Path:
    stored = json.loads((folder / "study.json").read_text())
    stored["definition"]["question"] = text
    (folder / "study.json").write_text(json.dumps(stored))
    return folder


@pytest.fixture
def page(make_study: Callable[..., Path], trial: Any) -> Path:
    """The report of three labelled trials, on which a margin acts, with three seeds."""
    trials = [
        trial(1.0, 0.0, schedule="off", label="none"),
        trial(1.0, 5.0, label=HOSTILE),
        trial(0.1, 20.0, label="large"),
    ]
    folder = asked(make_study(trials, seeds=[0, 1, 2]))
    write_report(folder)
    return folder / "report.html"


def places(text: str, *parts: str) -> list[int]:
    found = [text.find(part) for part in parts]
    assert min(found) >= 0, dict(zip(parts, found, strict=True))
    return found


def test_question_and_verdict_come_first_then_differences_figure_table_and_tabs(page: Path) -> None:
    text = page.read_text()
    order = places(
        text,
        "Is a margin worth it? &lt;b&gt;",
        'class="verdict"',
        "<h3>Differences</h3>",
        "<h3>Margin and temperature</h3>",
        "paired differences</h3>",
        '<nav class="tabs"',
        'id="results"',
        'id="curves"',
        'id="diagnostics"',
        'id="provenance"',
    )
    assert order == sorted(order)
    head = text[: text.index('<nav class="tabs"')]
    assert "No figure" not in head and "Recovered" not in head, "what does not apply is no headline"


def test_every_table_and_figure_is_on_the_page_once_with_links_to_its_files(page: Path) -> None:
    report = write_report(page.parent)
    text = page.read_text()
    links = re.findall(r'<a href="((?:tables|figures)/[^"]+)" download>', text)
    assert sorted(links) == sorted(str(path.relative_to(page.parent)) for path in report.paths)
    assert all((page.parent / link).is_file() for link in links)


def test_the_page_alone_holds_every_table_and_figure_to_save(page: Path) -> None:
    text = page.read_text()
    saved = re.findall(r'download="([^"]+)" href="data:([a-z/-]+)[^,]*;base64,([^"]+)"', text)
    tables = sorted((page.parent / "tables").glob("*.csv"))
    assert sorted(name for name, _, _ in saved) == sorted(
        f"{path.stem}.{ending}" for path in tables for ending in ("csv", "tex")
    )
    for name, kind, content in saved:
        assert kind == {".csv": "text/csv", ".tex": "application/x-tex"}[Path(name).suffix]
        assert base64.b64decode(content) == (page.parent / "tables" / name).read_bytes()
    images = re.findall(r'<figure><img src="data:image/svg\+xml;base64,([^"]+)"', text)
    figures = {path.read_bytes() for path in (page.parent / "figures").glob("*.svg")}
    assert {base64.b64decode(content) for content in images} == figures and figures
    assert len(text) < 5_000_000


def test_a_figure_of_very_many_points_is_shown_as_png(tmp_path: Path) -> None:
    figure = ReportFigure("f", "F", "", (), (tmp_path / "f.svg", tmp_path / "f.png"))
    for size, shown in ((LARGEST_SVG, "f.svg"), (LARGEST_SVG + 1, "f.png")):
        (tmp_path / "f.svg").write_bytes(bytes(size))
        (tmp_path / "f.png").write_bytes(bytes(10))
        assert figure.shown.name == shown
    (tmp_path / "f.png").write_bytes(bytes(LARGEST_SVG + 1))
    assert figure.shown.name == "f.svg"


def test_the_one_script_that_may_run_is_the_reports_own(page: Path) -> None:
    text = page.read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None and f"script-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'") and "&lt;script&gt;" in text


def test_studies_on_one_page_have_places_of_their_own(
    make_study: Callable[..., Path], trial: Any, tmp_path: Path
) -> None:
    first = make_study([trial(1.0, 0.0, schedule="off", label="a"), trial(1.0, 5.0, label="b")])
    second = shutil.copytree(first, tmp_path / "second")
    write_reports([first, second], tmp_path / "both")
    text = (tmp_path / "both" / "report.html").read_text()
    assert 'id="margin-sweep-results"' in text and 'id="margin-sweep-2-results"' in text
    links = re.findall(r'<a href="([^"#]+)" download>', text)
    assert links and all((tmp_path / "both" / link).is_file() for link in links)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "browser")
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_in_a_browser_tabs_change_tables_sort_and_nothing_of_a_study_runs(
    page: Path, browser: Browser
) -> None:
    def visible() -> list[str]:
        found: list[str] = browser.look(
            "[...document.querySelectorAll('[data-tab]')].filter((t) => t.offsetHeight)"
            ".map((t) => t.id)"
        )
        return found

    browser.call("Page.navigate", url=page.as_uri())
    browser.wait(
        "document.readyState === 'complete' && document.querySelector('nav.tabs') !== null"
    )
    assert visible() == ["results"] and "owned" not in browser.look("document.title")
    browser.look("document.querySelector('nav.tabs a[href=\"#trials\"]').click()")
    browser.wait("location.hash === '#trials'")
    browser.wait("document.getElementById('trials').offsetHeight > 0")
    assert visible() == ["trials"]
    table = "document.querySelector('#trials table.sortable')"
    head = f"[...{table}.tHead.rows[0].cells].find((cell) => cell.textContent === 'M/tau')"
    column = f"[...{table}.tHead.rows[0].cells].indexOf({head})"
    cells = f"[...{table}.tBodies[0].rows].map((row) => row.cells[{column}].textContent)"
    browser.look(f"{head}.click()")
    assert browser.look(cells) == ["0", "5", "20"]
    browser.look(f"{head}.click()")
    assert browser.look(cells) == ["20", "5", "0"]
    first = "document.querySelector('table.sortable')"  # the paired differences
    ends = f"[...{first}.tHead.rows[0].cells].find((cell) => cell.textContent === '95 % CI')"
    place = f"[...{first}.tHead.rows[0].cells].indexOf({ends})"
    browser.look(f"{ends}.click()")
    intervals = browser.look(
        f"[...{first}.tBodies[0].rows].map((row) => row.cells[{place}].textContent)"
    )
    lows = [float(text.strip("[]").split(",")[0]) for text in intervals]
    assert len(lows) == 3 and lows == sorted(lows), "an interval counts by its lower end"
    browser.look(f"{ends}.click()")
    again = browser.look(
        f"[...{first}.tBodies[0].rows].map((row) => row.cells[{place}].textContent)"
    )
    assert again == intervals[::-1]
    assert browser.look("document.documentElement.scrollWidth <= innerWidth")
    figure = "document.querySelector('figure img')"
    dialog = "document.querySelector('dialog.large')"
    browser.look(f"{figure}.click()")
    assert browser.look(f"{dialog}.open && {dialog}.querySelector('img').src === {figure}.src")
    assert browser.look(f"{dialog}.querySelector('img').naturalWidth > 100")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Escape", windowsVirtualKeyCode=27)
    browser.wait(f"!{dialog}.open")
    browser.look(f"{figure}.focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13)
    browser.wait(f"{dialog}.open")
    browser.look(f"{dialog}.querySelector('button').click()")
    assert not browser.look(f"{dialog}.open")
    saved = "[...document.querySelectorAll('a.save')]"
    assert browser.look(f"{saved}.length > 6 && {saved}.every((a) => a.href.startsWith('data:'))")
    assert not browser.errors
