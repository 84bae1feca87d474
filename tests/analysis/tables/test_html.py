"""The page stands alone, says everything, and no text in it is ever markup."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from analysis.report.writing import write_report
from analysis.tables import html
from analysis.tables.numbers import ABSENT
from analysis.tables.paper_layout import Cell, Column, PaperTable, Row, Source, laid_out
from analysis.tables.text_table import TextTable
from conspo_study.records import EvalRow, EventKind, TrialEvent
from conspo_study.results.log import ResultsLog
from conspo_study.results.rows import write_eval_rows

pytestmark = pytest.mark.usefixtures("few_figures", "unwritten")

Make = Callable[..., Path]
KNOWN = {"lang", "charset", "http-equiv", "content", "name", "class", "src", "alt"}
KNOWN |= {"id", "href", "download", "data-tab", "data-part", "aria-label"}
"""Attributes of the templates, for a page of one study."""
HOSTILE = "</td><script>alert(1)</script>\" onload='x' &lt; \x00\x1b[31m\u202e {{7*7}} ${x}"


HELD = r"data:(image/svg\+xml|image/png|text/csv;charset=utf-8|application/x-tex)"
OWN = HELD + r";base64,[A-Za-z0-9+/=]+|#[a-z]+|(tables|figures)/[a-z_-]+\.[a-z]+"
"""Pictures and tables in the page, places in it, and the report's files beside it."""


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


def addresses(page: Page) -> list[str]:
    return [value or "" for name, value in page.attributes if name in ("src", "href")]


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    parsed = Page(page)
    assert not {"link", "iframe", "object", "form"} & set(parsed.tags)
    assert parsed.tags.count("script") == 1 and html.source("report.js") in page
    assert any(value.startswith("data:image/svg+xml;base64,") for value in addresses(parsed))
    for value in addresses(parsed):
        assert re.fullmatch(OWN, value), value
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'" in page


def test_figures_are_as_wide_as_their_type_is_large(page: str, full_study: Path) -> None:
    """Their files have one type size per inch, so the page must not widen the narrow ones."""
    shown = [int(width) for width in re.findall(r'<img [^>]*width="?(\d+)', page)]
    files = [full_study / path for path in re.findall(r'href="(figures/[^"]+\.png)"', page)]
    drawn = [int.from_bytes(path.read_bytes()[16:20]) for path in files]
    assert shown and shown == [width * 128 // 200 for width in drawn]


def test_the_page_has_tables_figures_claims_failures_and_configuration(page: str) -> None:
    parsed = Page(page)
    assert parsed.tags.count("img") >= 2 and parsed.tags.count("table") >= 4
    for said in (
        "16 trials: 13 finished, 2 pruned, 1 failed.",
        "2 seeds do not support a claim",
        "diverged: gradient not finite at step 20 | loss = nan",
        "Recovered failures",
        "0123456789ab",
        "2 search seeds are too few to know what they could have detected",
    ):
        assert said in parsed.words, said


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=[])))
def test_any_text_is_shown_and_never_markup(value: str) -> None:
    template = '<p title="{{ value }}">{{ value }}</p>'
    source = html.environment().from_string(template).render(value=value)
    source.encode()
    parsed = Page(source)
    assert parsed.tags == ["p"] and "\n" not in parsed.words
    assert [name for name, _ in parsed.attributes] == ["title"]
    assert len(parsed.words) <= 10 * html.LONGEST + 1


def test_text_is_cut_and_a_value_that_is_missing_is_an_error() -> None:
    template = html.environment().from_string("{{ value }}{{ value | visible(3) }}")
    assert template.render(value="x" * 5000) == "x" * html.LONGEST + "…xxx…"
    with pytest.raises(UndefinedError):
        template.render()


def hostile(value: Any) -> Any:
    """JSON data with the hostile text in place of every text, keys included."""
    if isinstance(value, dict):
        return {f"{HOSTILE} {key}": hostile(inner) for key, inner in value.items()}
    return [hostile(inner) for inner in value] if isinstance(value, list) else HOSTILE


def assert_text_alone(study: Path) -> Page:
    """No hostile text is markup in the page, nor a control character in any table."""
    source = (study / "report.html").read_text()
    parsed = Page(source)
    assert "iframe" not in parsed.tags and parsed.tags.count("script") == 1
    assert all(re.fullmatch(OWN, value) for value in addresses(parsed))
    assert {name for name, _ in parsed.attributes} <= KNOWN
    assert not {"\x00", "\x1b", "\u202e"} & set(source)
    for path in (study / "tables").iterdir():
        assert not {"\x00", "\x1b", "\u202e"} & set(path.read_text()), path.name
    assert "<script>" not in (study / "tables" / "trials.md").read_text()
    return parsed


def test_hostile_names_labels_causes_and_incidents_are_text(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 5.0, label=HOSTILE), trial(1.0, 1.0)], name=HOSTILE)
    with ResultsLog(study / "log.jsonl") as log:
        incident = {"type": HOSTILE, "count": 2, "detail": HOSTILE}
        log.append(TrialEvent(EventKind.INCIDENT, "t0000", incident))
        log.append(TrialEvent(EventKind.SUGGESTED, "t0002", {"seeds": [0, 1]}))
        cause = "\n".join([HOSTILE] * 300)
        log.append(TrialEvent(EventKind.FAILED, "t0002", {"cause": cause, "step": 0}))
        changes = {"hash": "0123456789ab", "resumed": True, "changes": [HOSTILE]}
        log.append(TrialEvent(EventKind.STUDY_STARTED, data=changes))
    frozen = json.loads((study / "study.json").read_text())
    frozen["definition"]["base"] = {HOSTILE: HOSTILE, "data": {HOSTILE: {}}}
    frozen["data"] = {HOSTILE: HOSTILE}
    frozen["code"] = {"hash": HOSTILE}
    (study / "study.json").write_text(json.dumps(frozen))
    snapshot = {"git": {"hash": HOSTILE, "dirty": HOSTILE}, "packages": {HOSTILE: HOSTILE}}
    (study / "snapshot.json").write_text(json.dumps({**snapshot, "argv": [HOSTILE]}))
    write_report(study)
    parsed = assert_text_alone(study)
    assert "alert(1)" in parsed.words and "… 100 more lines" in parsed.words


def test_hostile_datasets_problems_and_answers_are_text(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 5.0, label="a"), trial(1.0, 1.0, label="b")], seeds=[0, 1, 2])
    for path in study.glob("trials/*/eval-*.parquet"):
        rows = [
            EvalRow(**{**row, "problem_set": HOSTILE, "answer": HOSTILE})
            for row in pq.read_table(path).to_pylist()
        ]
        path.unlink()
        write_eval_rows(path, rows)
    write_report(study)
    assert "alert(1)" in assert_text_alone(study).words


def test_a_hostile_definition_is_text(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 5.0)])
    frozen = json.loads((study / "study.json").read_text())
    frozen["definition"] |= hostile({"space": {"x": [1, {"y": 2}]}, "note": "z"})
    (study / "study.json").write_text(json.dumps(frozen))
    write_report(study)
    assert "alert(1)" in assert_text_alone(study).words


def test_failures_are_named_and_their_absence_too(make_study: Make, trial: Any) -> None:
    write_report(study := make_study([trial(1.0, 5.0)]))
    words = Page((study / "report.html").read_text()).words
    assert "No trial failed." in words and "No failure had to be recovered from." in words


def rendered(table: TextTable | PaperTable, **options: int) -> str:
    template = (
        '{% from "tables.html" import text_table, paper_table %}'
        "{{ paper_table(table) if table is paper_table else text_table(table, **options) }}"
    )
    return html.environment().from_string(template).render(table=table, options=options)


def test_a_long_table_says_what_it_leaves_out() -> None:
    table = TextTable(("n", "v"), tuple((str(n), ABSENT) for n in range(7)))
    shown = rendered(table, most=5)
    assert shown.count("<tr>") == 6 and "In the CSV file: 2 more rows." in shown
    assert "more row" not in rendered(table, most=7)


def test_numbers_are_aligned_and_a_table_without_rows_has_none() -> None:
    titles = ("name", "value")
    shown = rendered(TextTable(titles, (("a", "1.5"), ("b", ABSENT))))
    assert "<td>a</td>" in shown and '<td class="number">1.5</td>' in shown
    assert "number" not in rendered(TextTable(titles, ()))


def test_a_paper_table_has_marks_daggers_intervals_and_gaps() -> None:
    columns = (Column(HOSTILE, Source.OURS, "avg@8", 3),)
    rows = (
        Row("", HOSTILE, (Cell(51.25, 40.0, 60.0, seeds=3),)),
        Row("", "b", (Cell(50.0, stated=True, seeds=2),)),
        Row("", "c", (Cell(),)),
    )
    table = laid_out("t", columns, rows, [])
    shown = rendered(table)
    assert '<td class="number"><strong>51.2</strong> [40.0, 60.0]</td>' in shown
    assert '<td class="number"><u>50.0</u>† (n = 2)</td>' in shown
    assert f'<td class="number">{ABSENT}</td>' in shown and "<script" not in shown
