"""The page stands alone, says everything, and no text in it is ever markup."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.report.page import NO_FAILURES, NO_INCIDENTS
from analysis.report.report import write_report
from analysis.tables import html
from analysis.tables.text_table import ABSENT, TextTable
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog

pytestmark = pytest.mark.usefixtures("few_figures")

Make = Callable[..., Path]
HOSTILE = "</td><script>alert(1)</script>\" onload='x' &lt; \x00\x1b[31m\u202e {{7*7}} ${x}"


class Page(HTMLParser):
    """Tags, attributes and text of a page; refuses tags that are not closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, source: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def page(full_study: Path, few_figures: None) -> str:
    write_report(full_study)
    return (full_study / "report.html").read_text()


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    parsed = Page(page)
    assert not {"script", "link", "iframe", "object", "form"} & set(parsed.tags)
    addresses = [value for name, value in parsed.attributes if name in ("src", "href")]
    assert addresses and all(
        value and value.startswith(("data:image/png;base64,", "#")) for value in addresses
    )
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'" in page


def test_the_page_has_tables_figures_claims_failures_and_configuration(page: str) -> None:
    parsed = Page(page)
    assert parsed.tags.count("img") >= 2 and parsed.tags.count("table") >= 4
    for said in (
        "16 trials: 13 finished, 2 pruned, 1 failed.",
        "Two seeds do not support a claim",
        "diverged: gradient not finite at step 20 | loss = nan",
        NO_INCIDENTS,
        "0123456789ab",
        "could have detected one of",
    ):
        assert said in parsed.words, said


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=[])))
def test_any_text_is_shown_and_never_markup(value: str) -> None:
    parsed = Page(f"<p>{html.text(value)}</p>")
    assert parsed.tags == ["p"] and "\n" not in parsed.words
    html.text(value).encode()
    attribute = Page(f'<p title="{html.text(value)}"></p>')
    assert [name for name, _ in attribute.attributes] == ["title"]


def test_hostile_names_labels_causes_and_incidents_are_text(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 5.0, label=HOSTILE), trial(1.0, 1.0)], name=HOSTILE)
    with ResultsLog(study / "log.jsonl") as log:
        incident = {"type": HOSTILE, "count": 2, "detail": HOSTILE}
        log.append(TrialEvent(EventKind.INCIDENT, "t0000", incident))
        log.append(TrialEvent(EventKind.SUGGESTED, "t0002", {"seeds": [0, 1]}))
        log.append(TrialEvent(EventKind.FAILED, "t0002", {"cause": HOSTILE, "step": 0}))
    frozen = json.loads((study / "study.json").read_text())
    frozen["definition"]["base"] = {HOSTILE: HOSTILE}
    frozen["data"] = {HOSTILE: HOSTILE}
    (study / "study.json").write_text(json.dumps(frozen))
    write_report(study)
    source = (study / "report.html").read_text()
    parsed = Page(source)
    assert "script" not in parsed.tags and not any(n == "onload" for n, _ in parsed.attributes)
    assert "alert(1)" in parsed.words and not {"\x00", "\x1b", "\u202e"} & set(source)
    for path in (study / "tables").iterdir():
        assert not {"\x00", "\x1b", "\u202e"} & set(path.read_text()), path.name
    assert "<script>" not in (study / "tables" / "trials.md").read_text()


def test_a_failure_is_named_and_none_is_said_to_be_none(make_study: Make, trial: Any) -> None:
    write_report(study := make_study([trial(1.0, 5.0)]))
    assert NO_FAILURES in (study / "report.html").read_text()


def test_a_long_table_says_what_it_leaves_out() -> None:
    table = TextTable(("n", "v"), tuple((str(n), ABSENT) for n in range(7)))
    shown = html.text_table(table, most=5)
    assert shown.count("<tr>") == 6 and "2 more rows are in the CSV file." in shown
    assert "more rows" not in html.text_table(table, most=7)
