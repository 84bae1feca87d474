"""The page itself: its files, and how a browser shows them."""

import html
import json
import re
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from watched_study import HOSTILE, METRIC, report

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog, read_log

PAGE = Path(__file__).resolve().parents[2] / "conspo_study/watch/page"
SCRIPTS = sorted(PAGE.glob("*.js"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_markup_and_load_only_each_other(path):
    text = path.read_text()
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(|DOMParser"
    )
    assert not re.search(forbidden, text)
    assert set(re.findall(r"https?://[^\"'` ]*", text)) <= {"http://www.w3.org/2000/svg"}
    for module in re.findall(r'from "([^"]+)"', text):
        assert module.startswith("./") and (PAGE / module).is_file(), module
    assert len(text.splitlines()) <= 400


def test_the_vendored_library_is_told_with_version_and_licence():
    script = (PAGE / "vendor/uPlot.iife.min.js").read_text()
    version = re.search(r"\(v([\d.]+)\)", script)[1]
    told = (PAGE / "vendor/README.md").read_text()
    assert f"uPlot](https://github.com/leeoniya/uPlot) {version}, MIT" in told
    assert "The MIT License" in (PAGE / "vendor/LICENSE").read_text()
    forbidden = r"innerHTML|document\.write|\beval\(|Function\(|fetch\(|setAttribute|insertRule"
    assert not re.search(forbidden, script), "the page's security policy would refuse it"


def test_the_page_loads_only_its_own_files():
    text = (PAGE / "index.html").read_text() + (PAGE / "style.css").read_text()
    assert "://" not in text and "@import" not in text and "url(" not in text
    for name in re.findall(r'(?:src|href)="/([^"]+)"', text):
        assert (PAGE / name).is_file(), name


@pytest.fixture
def browser(tmp_path):
    made = Browser(tmp_path / "browser")
    yield made
    made.close()
    assert not made.errors


in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def text_of(document):
    return html.unescape(re.sub(r"<[^>]+>", " ", document))


@in_browser
@pytest.mark.slow
def test_the_overview_shows_trials_curves_settings_and_map(study, watch, browser):
    browser.open(watch(study).link)
    document = browser.document
    text = text_of(document)
    assert "mini" in re.search("<title>(.*?)</title>", document)[1]
    for words in ("t0000", "finished", "failed", "running", "0.600 ± 0.141", "(0.550)", "best"):
        assert words in text, words
    assert f"it said {HOSTILE}" in text, "the cause is text"
    assert document.count("<script") == 2 and "<img" not in document
    assert re.search(r'<g class="series[^"]*" data-trial="t0002"', document), "parallel coordinates"
    assert document.count("<canvas") == 1, "curves"
    assert document.count('class="cell') == 3, "the map of tau and margin"
    assert "is not a results directory" not in text


class Chart:
    """The first chart of a page, and where the mouse has to go in it."""

    def __init__(self, browser):
        self.browser = browser
        browser.look("document.querySelector('.u-over').scrollIntoView({block: 'center'})")
        box = "document.querySelector('.u-over').getBoundingClientRect()"
        self.left, self.top = (browser.look(f"{box}.{side}") for side in ("left", "top"))
        self.width, self.height = (browser.look(f"{box}.{side}") for side in ("width", "height"))

    def point(self, across, down):
        """Move the mouse to shares of the width and height; returns what all charts then tell."""
        self.browser.mouse(
            "mouseMoved", self.left + across * self.width, self.top + down * self.height
        )
        return self.browser.look(
            "[...document.querySelectorAll('.readout')].map((p) => p.textContent)"
        )

    def ends(self):
        """The first and the last step in view of each chart."""
        told = zip(self.point(0.01, 0.1), self.point(0.99, 0.1), strict=True)
        return [[text and int(re.match(r"step (\d+)", text)[1]) for text in both] for both in told]

    def drag(self, start, end):
        x, y = (
            (self.left + share * self.width for share in (start, end)),
            self.top + self.height / 2,
        )
        (first, last) = x
        self.browser.mouse("mousePressed", first, y, clickCount=1)
        for share in (0.3, 0.6, 1.0):
            self.browser.mouse("mouseMoved", first + share * (last - first), y, buttons=1)
        self.browser.mouse("mouseReleased", last, y, clickCount=1)

    def double_click(self):
        for count in (1, 2):
            for kind in ("mousePressed", "mouseReleased"):
                self.browser.mouse(kind, self.left + 50, self.top + 50, clickCount=count)


@in_browser
@pytest.mark.slow
def test_the_metric_without_undecided_responses_is_shown_where_there_are_some(
    study, watch, browser
):
    url = watch(study).link
    browser.open(url)
    assert "without undecided" not in text_of(browser.document)
    data = report(40)
    data["seeds"]["0"][f"{METRIC}/decided"] = 0.777
    with ResultsLog(study / "log.jsonl") as log:
        log.append(TrialEvent(EventKind.REPORTED, "t0002", data))
    browser.wait("document.body.innerText.includes('0.689')")
    assert "without undecided" in text_of(browser.document)
    browser.open(f"{url}#/trial/t0002")
    browser.wait("document.body.innerText.includes('0.689 without undecided responses')")


@in_browser
@pytest.mark.slow
def test_curves_are_read_under_the_pointer_and_zoomed_by_dragging(study, watch, browser):
    browser.open(watch(study).link)
    chart = Chart(browser)
    assert chart.ends() == [[0, 40]]
    (told,) = chart.point(0.5, 0.5)
    for words in ("step 20", "t0000", "0.550", "t0001", "t0002"):
        assert words in told, words
    lit = "document.querySelector('tr.lit')?.dataset.trial"
    assert any(chart.point(0.5, y / 50) and browser.look(lit) for y in range(50)), "in the table"
    chart.drag(0.45, 0.99)
    assert chart.ends() == [[20, 40]]
    assert not browser.look("document.querySelector('tr.chosen')"), "a drag is no click"
    with ResultsLog(study / "log.jsonl") as log:
        log.append(TrialEvent(EventKind.REPORTED, "t0002", report(40, 0.7)))
    browser.wait("document.querySelector('tr[data-trial=t0002]').textContent.includes('40/40')")
    assert chart.ends() == [[20, 40]], "news do not undo a zoom"
    assert "0.750" in chart.point(0.99, 0.5)[0]
    chart.double_click()
    assert chart.ends() == [[0, 40]]
    browser.look("document.querySelector('input[type=checkbox]').click()")
    assert chart.ends() == [[0, 40]], "on a log axis, too"


@in_browser
@pytest.mark.slow
def test_charts_of_a_trial_share_cursor_and_zoom(study, watch, browser):
    browser.open(f"{watch(study).link}#/trial/t0000")
    browser.wait("document.querySelectorAll('canvas').length === 3")
    chart = Chart(browser)
    told = chart.point(0.25, 0.5)
    assert all(re.match(r"step 1\d?.*mean.*seed 0.*seed 1", text) for text in told[1:]), told
    assert chart.ends() == [[0, 40], [0, 40], ["", 20]], "one of them begins at step 1"
    chart.drag(0.2, 0.8)
    assert chart.ends() == [[20, 20], [10, 20], [8, 20]], "the steps from 8 to 32"


@in_browser
@pytest.mark.slow
def test_what_went_wrong_in_a_trial_is_named(study, watch, browser):
    url = f"{watch(study).link}#/trial/t0000"
    browser.open(url)
    browser.wait("document.querySelectorAll('canvas').length === 3")
    assert "What went wrong" not in text_of(browser.document)
    with (study / "trials/t0000/steps.jsonl").open("a") as file:
        for step in range(21, 41):
            file.write(json.dumps({"seed": 0, "step": step, "truncated_fraction": 0.5}) + "\n")
    browser.open(url)
    browser.wait("document.body.innerText.includes('What went wrong')")
    text = text_of(browser.document)
    for words in ("truncation", "1 of 2", "truncated_fraction 0.5", "rollout.max_new_tokens"):
        assert words in text, words


@in_browser
@pytest.mark.slow
def test_what_a_model_wrote_is_shown_as_text(study, watch, browser):
    browser.open(f"{watch(study).link}#/trial/t0000")
    browser.wait("document.querySelector('.responses')?.textContent")
    document = browser.document
    text = text_of(document)
    assert text.count(HOSTILE) >= 4 + 3, "responses, prompt, problem, label, configuration"
    assert document.count("<script") == 2 and "<img" not in document
    assert "t0000 · mini" in re.search("<title>(.*?)</title>", document)[1]
    for words in ("step 11, seed 0", "12 responses", "credit +0.100", "no answer", "suggested"):
        assert words in text, words
    assert "loss" in (names := re.findall("<figcaption[^>]*>([^<]*)", document))
    assert document.count("<canvas") == len(names)


@in_browser
@pytest.mark.slow
def test_the_page_tells_what_is_wrong_with_a_study(study, watch, tmp_path, browser):
    lines = (study / "log.jsonl").read_bytes().split(b"\n")
    lines[9] = lines[9].replace(b'"t0001"', b'"t0009"')
    (study / "log.jsonl").write_bytes(b"\n".join(lines))
    browser.open(watch(study).link)
    text = text_of(browser.document)
    assert "line 10 of log.jsonl is damaged" in text and "conspo repair" in text
    assert "t0000" in text and "t0002" not in text, "what is before the damage is shown"
    with pytest.raises(ValueError, match="line 10"):
        read_log(study / "log.jsonl")
    browser.open(watch(tmp_path / "nothing").link)
    text = text_of(browser.document)
    assert "is not a results directory" in text and "No trial has started" in text
