"""The page's views in a browser: studies, comparison, notes, filters, addresses and saved files."""

import csv
import json
import time
import xml.etree.ElementTree as ET

import pytest
from browser import CHROMIUM, Browser
from watched_study import HOSTILE, METRIC, write_study

from conspo_study.records import EvalRow, EventKind, ProblemRow, TrialEvent
from conspo_study.results.log import ResultsLog
from conspo_study.results.problems import problems_path, write_problems
from conspo_study.results.rows import eval_path, write_eval_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@pytest.fixture
def browser(tmp_path):
    made = Browser(tmp_path / "browser")
    yield made
    made.close()
    assert not made.errors


@pytest.fixture
def downloads(browser, tmp_path):
    """Where the browser saves files; `wait(name)` returns the path of one that is whole."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def wait(name):
        deadline = time.monotonic() + 30
        while not (folder / name).exists():
            assert time.monotonic() < deadline, list(folder.iterdir())
            time.sleep(0.05)
        return folder / name

    return wait


def seen(browser):
    return browser.look("document.body.innerText")


def press(browser, text):
    """Click the first button or link with this text."""
    found = (
        f"[...document.querySelectorAll('button, a')].find((e) => e.textContent.includes({text!r}))"
    )
    browser.wait(f"{found} !== undefined")
    browser.look(f"{found}.click()")


def type_into(browser, selector, text):
    browser.look(
        f"(() => {{ const box = document.querySelector({selector!r}); box.value = {text!r};"
        "box.dispatchEvent(new Event('input')); box.dispatchEvent(new Event('change')); })()"
    )


def choose(browser, label, value):
    browser.look(
        "(() => { const box = [...document.querySelectorAll('label')]"
        f".find((e) => e.firstChild.textContent.trim() === {label!r}).querySelector('select');"
        f"box.value = {value!r}; box.dispatchEvent(new Event('change')); }})()"
    )


def shown_trials(browser):
    return browser.look(
        "[...document.querySelectorAll('tbody tr[data-trial] a')].map((e) => e.textContent)"
    )


def test_studies_are_listed_found_and_opened(tmp_path, watch, browser):
    root = tmp_path / "results"
    root.mkdir()
    write_study(root / "first")
    write_study(root / "second")
    stored = json.loads((root / "second/study.json").read_text())
    stored["definition"]["question"] = f"Which? {HOSTILE}"
    (root / "second/study.json").write_text(json.dumps(stored))
    browser.open(watch(root).link)
    text = seen(browser)
    assert "first" in text and "second" in text and f"Which? {HOSTILE}" in text
    assert "2 of 4" in text and "1 failed" in text and "no report yet" in text
    assert browser.document.count("<img") == 0
    assert browser.look("document.querySelectorAll('td svg circle').length") == 2, "sparklines"
    type_into(browser, "input.query", "which")
    assert "first" not in seen(browser)
    assert browser.look("location.hash").endswith("?find=which")
    browser.look("[...document.querySelectorAll('td a')][0].click()")
    browser.wait("document.querySelectorAll('tr[data-trial]').length === 3")
    assert browser.look("location.hash") == "#/study/second"
    press(browser, "t0001")
    browser.wait("document.title.startsWith('t0001')")
    assert browser.look("location.hash") == "#/study/second/trial/t0001"
    press(browser, "all studies")
    browser.wait("document.querySelectorAll('td svg circle').length === 2")
    browser.look("document.querySelector('a[href=\"#/study/first\"]').click()")
    browser.wait("document.querySelectorAll('tr[data-trial]').length === 3")
    assert browser.look("location.hash") == "#/study/first"


def test_what_was_chosen_is_in_the_address_and_shown_again(study, watch, browser):
    link = watch(study).link
    browser.open(link)
    type_into(browser, "input.query", "tau>=1")
    assert shown_trials(browser) == ["t0001", "t0002"]
    choose(browser, "group by", "objective.tau")
    choose(browser, "metric", "reward")
    choose(browser, "colour", "objective.margin")
    press(browser, "state")
    place = browser.look("location.hash")
    browser.open(f"{link}{place}")
    browser.wait("document.querySelectorAll('tr.grouphead').length === 2")
    assert shown_trials(browser) == ["t0001", "t0002"]
    heads = browser.look(
        "[...document.querySelectorAll('tr.grouphead')].map((e) => e.textContent.trim())"
    )
    assert heads[0].startswith("tau = 1 ") or heads[0].startswith("tau = 1")
    assert "no result yet" in heads[0], "it failed"
    chosen = browser.look("[...document.querySelectorAll('.controls select')].map((e) => e.value)")
    assert {"reward", "objective.margin"} <= set(chosen)
    assert browser.look("document.querySelector('th[aria-sort]').textContent").startswith("state")
    type_into(browser, "input.query", "tau>high")
    assert "is no number" in seen(browser) and len(shown_trials(browser)) == 3
    type_into(browser, "input.query", "nobody")
    assert "No trial passes the filter" in seen(browser)


def test_ticked_trials_are_compared(study, watch, browser, downloads):
    with ResultsLog(study / "log.jsonl") as log:
        ended = {"step": 40, "values": {"0": 0.55, "1": 0.66}}
        log.append(TrialEvent(EventKind.FINISHED, "t0002", ended))
    browser.open(watch(study).link)
    for trial in ("t0000", "t0002"):
        browser.look(f"document.querySelector('tr[data-trial={trial}] input').click()")
    press(browser, "compare 2")
    browser.wait("document.title.startsWith('t0000, t0002')")
    browser.wait("document.querySelectorAll('canvas').length === 1")
    text = seen(browser)
    assert "+0.005" in text and "-0.567 to +0.577" in text, text
    assert "objective.tau" in text and "Values of the search chose the best trial" in text
    press(browser, "make it the reference")
    browser.wait("document.body.innerText.includes('minus t0002')")
    assert "-0.577 to +0.567" in seen(browser)
    press(browser, "CSV")
    name = f"comparison_{METRIC.replace('/', '_')}.csv"
    rows = list(csv.reader(downloads(name).open(newline="")))
    assert rows[0][:4] == ["trial", "mean", "sd", "minus t0002"] and len(rows) == 3
    assert float(rows[2][3]) == pytest.approx(-0.005)
    press(browser, "all trials")
    browser.wait("document.querySelectorAll('tr[data-trial] input:checked').length === 2")


def test_tables_and_figures_are_saved(study, watch, browser, downloads):
    browser.open(watch(study).link)
    press(browser, "CSV")
    rows = list(csv.reader(downloads("mini_trials.csv").open(newline="")))
    assert rows[0][:6] == ["trial", "role", "of", "label", "state", METRIC]
    assert [row[0] for row in rows[1:]] == ["t0000", "t0001", "t0002"]
    titles = {"settings.svg": "Settings", "map.svg": "Result", "history.svg": "History"}
    for name, title in titles.items():
        browser.look(
            "[...document.querySelectorAll('section.card')]"
            f".find((e) => e.querySelector('h2').textContent.startsWith({title!r}))"
            ".querySelector('button[title*=vector]').click()"
        )
        root = ET.parse(downloads(name)).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        texts = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]
        assert texts and not any("class" in node.attrib for node in root.iter())
    browser.look("document.querySelector('.save button[title*=vector]').click()")
    curve = ET.parse(downloads(f"mini_{METRIC.replace('/', '_')}.svg")).getroot()
    lines = [n for n in curve.iter("{http://www.w3.org/2000/svg}path") if n.get("d")]
    assert len(lines) == 3 and all(line.get("stroke") for line in lines)


def test_notes_are_written_shown_and_withdrawn(study, watch, browser):
    link = watch(study).link
    browser.open(f"{link}#/trial/t0001")
    browser.wait("document.querySelector('textarea') !== null")
    type_into(browser, "textarea", f"odd {HOSTILE}")
    type_into(browser, ".write input", "odd, ask")
    press(browser, "add")
    browser.wait("document.querySelector('.note') !== null")
    assert f"odd {HOSTILE}" in browser.look("document.querySelector('.note .kept').textContent")
    press(browser, "all trials")
    browser.wait("document.querySelectorAll('tr[data-trial=t0001] .tag').length === 2")
    browser.open(f"{link}#/trial/t0001")
    press(browser, "withdraw")
    browser.wait("document.querySelector('.note') === null")
    press(browser, "add")
    browser.wait("document.body.innerText.includes('a note has a text or a tag')")
    (refused,) = browser.errors
    assert "400 (Bad Request)" in str(refused), "which the browser reports, too"
    browser.errors.clear()
    assert browser.document.count("<img") == 0


def test_history_and_importance_are_drawn(study, watch, browser):
    browser.open(watch(study).link)
    browser.wait("document.body.innerText.includes('do not rank the settings')")
    assert browser.look("document.querySelectorAll('.series.point circle').length") == 2


def test_responses_of_trials_stand_side_by_side_with_their_gold_answer(study, watch, browser):
    for trial, answers in (("t0000", ("7", "8")), ("t0002", ("7", "7"))):
        folder = study / "trials" / trial
        rows = [
            EvalRow(0, 40, "chain/hard", f"p{i}", 0, verdict, said, 3, "stopped", response=text)
            for i, (said, verdict, text) in enumerate(
                zip(answers, ("correct", "wrong"), (f"it is {HOSTILE}", "so 8"), strict=True)
            )
        ]
        write_eval_rows(eval_path(folder, 0, 40), rows)
        problems = [ProblemRow("chain/hard", f"p{i}", f"{i}+7=? {HOSTILE}", "7") for i in (0, 1)]
        write_problems(problems_path(folder), problems)
    link = watch(study).link
    browser.open(link)
    for trial in ("t0000", "t0002"):
        browser.look(f"document.querySelector('tr[data-trial={trial}] input').click()")
    press(browser, "their responses")
    browser.wait("document.querySelectorAll('article.group').length >= 2")
    choose(browser, "step", "40")
    browser.wait("document.querySelectorAll('article.group').length === 2")
    text = seen(browser)
    assert f"0+7=? {HOSTILE}" in text and "correct answer: 7" in text and f"it is {HOSTILE}" in text
    assert text.index("t0000") < text.index("0+7=?")
    assert browser.look("document.querySelectorAll('.response').length") == 4
    type_into(browser, "input.query", "so 8")
    browser.wait("document.querySelectorAll('article.group').length === 1")
    assert "1+7=?" in seen(browser)
    place = browser.look("location.hash")
    assert "text=so+8" in place and "step=40" in place
    choose(browser, "order", "-tokens")
    browser.wait("document.querySelectorAll('.response').length === 2")
    browser.open(f"{link}{place}")
    browser.wait("document.querySelectorAll('article.group').length === 1")
    assert browser.document.count("<img") == 0
    choose(browser, "step", "")
    type_into(browser, "input.query", "")
    browser.wait("document.body.innerText.includes('its text was not kept')")
