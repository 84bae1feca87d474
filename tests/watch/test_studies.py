"""Several studies on one page: which are listed, what is told of each, what cannot be asked for."""

import json
import os

import pytest
from watched_study import METRIC, write_study, write_study_json

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog
from conspo_study.results.verdict import keep_verdict
from conspo_study.watch import studies


@pytest.fixture
def shelf(tmp_path):
    """Two studies at different depths, and folders that are none."""
    root = tmp_path / "results"
    (root / "deep/er").mkdir(parents=True)
    write_study(root / "mini")
    write_study(root / "deep/er/other")
    (root / ".hidden").mkdir()
    write_study(root / ".hidden/study")
    (root / "empty").mkdir()
    return root


def test_studies_are_listed_with_what_their_own_pages_say(shelf, watch):
    page = watch(shelf)
    told = page.ask("studies")
    assert (told["several"], told["left_out"]) == (True, 0)
    assert {row["key"] for row in told["studies"]} == {"mini", "deep/er/other"}
    alone = watch(shelf / "mini").ask("study")
    (row,) = (row for row in told["studies"] if row["key"] == "mini")
    for name in ("name", "question", "verdict", "metric", "direction", "budget", "driver"):
        assert row[name] == alone[name], name
    assert row["counts"] == {state: n for state, n in alone["counts"].items() if n}
    assert row["best"] == {"id": "t0000", "label": alone["trials"][0]["label"], "value": 0.6}
    assert row["values"] == [0.6, None], "the running trial has no result yet"
    named = page.ask("study?of=mini")
    assert named == alone | {"epoch": named["epoch"]}
    assert page.ask("study?of=deep/er/other")["folder"].endswith("deep/er/other")
    trial = page.ask("trial/t0001?of=deep/er/other")
    assert trial["row"]["cause"].startswith("it said")
    assert page.ask("trial/t0000/responses?of=mini")["total"] == 12


def test_a_folder_with_one_study_that_is_the_study_itself_lists_none(shelf, watch):
    page = watch(shelf / "mini")
    assert page.ask("studies") == {
        "several": False,
        "folder": str(shelf / "mini"),
        "left_out": 0,
        "studies": [],
    }
    assert page.ask("study")["name"] == "mini"
    page.ask("study?of=mini", status=404)


@pytest.mark.parametrize(
    "key",
    ["../results/mini", "mini/trials", ".hidden/study", "..", ".", "/etc", "empty", "mini/../mini"],
)
def test_only_listed_folders_can_be_asked_for(shelf, watch, key):
    page = watch(shelf)
    page.ask(f"study?of={key}", status=404)
    page.ask(f"trial/t0000?of={key}", status=404)


def test_a_link_is_not_followed_and_no_name_is_asked_for(shelf, watch, tmp_path):
    write_study(tmp_path / "elsewhere")
    (shelf / "linked").symlink_to(tmp_path / "elsewhere")
    page = watch(shelf)
    assert "linked" not in {row["key"] for row in page.ask("studies")["studies"]}
    assert "name one with of=" in page.ask("study", status=400)["error"]


def test_a_study_that_comes_or_goes_is_noticed(shelf, watch, monkeypatch):
    page = watch(shelf)
    page.ask("studies")
    write_study(shelf / "later")
    assert page.ask("study?of=later")["name"] == "mini", "asked for, it is looked for at once"
    monkeypatch.setattr(studies, "FINDING_S", 0.0)
    assert "later" in {row["key"] for row in page.ask("studies")["studies"]}
    (shelf / "later/study.json").unlink()
    (shelf / "later/log.jsonl").unlink()
    page.ask("studies")
    page.ask("study?of=later", status=404)


def test_news_and_the_verdict_are_in_the_list(shelf, watch):
    page = watch(shelf)

    def row():
        return next(r for r in page.ask("studies")["studies"] if r["key"] == "mini")

    row()
    events = page.ask("study?of=mini")["seq"]
    keep_verdict(shelf / "mini", "t0000 is best.", events)
    assert row()["verdict"] == "t0000 is best."
    with ResultsLog(shelf / "mini/log.jsonl") as log:
        ended = {"step": 40, "values": {"0": 0.9, "1": 0.9}}
        log.append(TrialEvent(EventKind.FINISHED, "t0002", ended))
    now = row()
    assert (now["verdict"], now["best"]["id"]) == ("", "t0002")
    assert now["values"] == [0.6, None, 0.9] and now["changed"] > 0


def test_a_damaged_study_is_told_beside_the_others(shelf, watch):
    (shelf / "mini/study.json").write_text("{")
    log = shelf / "deep/er/other/log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"t0001"', b'"t0009"', 1))
    (shelf / "bare").mkdir()
    write_study_json(shelf / "bare")
    rows = {row["key"]: row for row in watch(shelf).ask("studies")["studies"]}
    assert "cannot be read" in rows["mini"]["problem"]
    assert "is damaged" in rows["deep/er/other"]["problem"]
    assert (rows["bare"]["problem"], rows["bare"]["counts"], rows["bare"]["best"]) == ("", {}, None)
    json.dumps(rows, allow_nan=False)


def test_a_metric_to_minimise_has_the_least_as_its_best(shelf, watch):
    stored = json.loads((shelf / "mini/study.json").read_text())
    stored["definition"]["direction"] = "min"
    (shelf / "mini/study.json").write_text(json.dumps(stored))
    with ResultsLog(shelf / "mini/log.jsonl") as log:
        ended = {"step": 40, "values": {"0": 0.1, "1": 0.1}}
        log.append(TrialEvent(EventKind.FINISHED, "t0002", ended))
    rows = {row["key"]: row for row in watch(shelf).ask("studies")["studies"]}
    assert rows["mini"]["best"]["id"] == "t0002" and rows["mini"]["metric"] == METRIC


def test_only_so_many_are_listed_and_the_others_counted(shelf, watch, monkeypatch):
    monkeypatch.setattr(studies, "MOST_STUDIES", 1)
    told = watch(shelf).ask("studies")
    assert (len(told["studies"]), told["left_out"]) == (1, 1)


def test_curves_of_a_few_studies_are_kept(shelf, watch, monkeypatch):
    monkeypatch.setattr(studies, "OPEN_STUDIES", 1)
    page = watch(shelf)
    for _ in range(2):
        for key in ("mini", "deep/er/other"):
            assert page.ask(f"study?of={key}")["trials"]
    assert len(page.server.studies._views) == 1


def test_listing_writes_nothing(shelf, watch):
    before = {path: path.stat().st_mtime_ns for path in [shelf, *shelf.rglob("*")]}
    watch(shelf).ask("studies")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_name_that_is_no_text_is_left_out_and_counted(shelf, watch):
    write_study(shelf / os.fsdecode(b"m\xfcller"))
    told = watch(shelf).ask("studies")
    assert {row["key"] for row in told["studies"]} == {"mini", "deep/er/other"}
    assert told["left_out"] == 1


def test_a_list_reads_for_its_time_and_the_others_later(shelf, watch, monkeypatch):
    monkeypatch.setattr(studies, "READING_S", 0.0)
    page = watch(shelf)
    page.ask("studies")
    rows = page.ask("studies")["studies"]
    assert all(row["counts"] for row in rows), "each list reads one, the longest unread first"


def test_a_view_that_was_forgotten_is_known_to_be_another(shelf, watch, monkeypatch):
    monkeypatch.setattr(studies, "OPEN_STUDIES", 1)
    page = watch(shelf)
    first = page.ask("study?of=mini")
    page.ask("study?of=deep/er/other")
    again = page.ask(f"study?of=mini&epoch={first['epoch']}&since={first['seq']}")
    assert (again["reset"], len(again["trials"])) == (True, 3)
