"""A digest says of a finished study what the study itself says, and is refused where it cannot."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from regime_results import METRIC, small, write_map
from study_shapes import write_log

from analysis.figures.data_regimes import angle_frame
from analysis.findings.final_scores import final_scores
from analysis.findings.regime_differences import families_of
from analysis.findings.regime_tables import cells_frame, map_lines, searched_frame
from analysis.findings.regimes import regime_map
from analysis.load.study import StudyUnreadable, load_study
from conspo_study.commands.command_line import main
from conspo_study.data.check import StudyData
from conspo_study.records import EventKind, StudyError, TrialEvent
from conspo_study.study.claim import claim

FILES = {"study.json", "snapshot.json", "log.jsonl", "digest.json", "scores.parquet"}


def level(label, seed):
    name, e, _ = label.split(", ")
    return 0.02 if (name, e, seed) == ("linear", "E4", 101) else 0.5 + 0.1 * (name == "GRPO")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("digest") / "map"
    angle = {"linear": 0.0, "GRPO": 30.0, "ConSPO tau 1": 25.0}
    write_map(place, small(), level, angle=lambda label: angle[label.split(", ")[0]])
    (place / "snapshot.json").write_text("{}", "utf-8")
    return place


@pytest.fixture(scope="module")
def digest(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "map"
    assert main(["export", str(folder), "--digest", str(out)]) == 0
    return out


def test_the_map_of_a_digest_is_the_map_of_its_study(folder, digest):
    whole, small_one = (regime_map([load_study(place)]) for place in (folder, digest))
    families = [families_of(found) for found in (whole, small_one)]
    assert cells_frame(whole, families[0]).equals(cells_frame(small_one, families[1]))
    assert searched_frame(whole).equals(searched_frame(small_one))
    assert map_lines(whole, families[0]) == map_lines(small_one, families[1])
    assert any(cell.collapsed for cell in small_one.cells), "a collapse is one in both"
    angles = [
        angle_frame(found, own[0]) for found, own in zip((whole, small_one), families, strict=True)
    ]
    assert len(angles[0]) == 2 and angles[0].equals(angles[1])


def test_scores_by_seed_and_problem_are_kept_to_the_bit(folder, digest):
    whole, small_one = load_study(folder), load_study(digest)
    assert whole.table.confirmations
    for row in whole.table.confirmations:
        before, after = (
            final_scores(whole, row),
            final_scores(small_one, small_one.table.row(row.id)),
        )
        assert before.seeds == after.seeds
        for name, one in before.benchmarks.items():
            assert one.problems == after.benchmarks[name].problems
            assert (one.values == after.benchmarks[name].values).all()


def test_a_digest_is_a_results_directory_without_files_of_trials(folder, digest, capsys):
    assert {path.name for path in digest.iterdir()} == FILES
    assert (digest / "study.json").read_bytes() == (folder / "study.json").read_bytes()
    assert main(["status", str(digest)]) == 0
    said = capsys.readouterr().out
    assert "finished" in said and "A digest: responses" in said and "gone from" not in said
    assert load_study(digest).table.all_rows == load_study(folder).table.all_rows


def test_reports_between_the_first_and_the_last_are_left_out_and_so_are_other_metrics(tmp_path):
    folder = write_map(tmp_path / "map", small(), level)
    (folder / "snapshot.json").write_text("{}", "utf-8")
    events = [logged.event for logged in load_study(folder).events]
    ends = [n for n, event in enumerate(events) if event.kind is EventKind.FINISHED]
    for end in reversed(ends):
        trial, values = events[end].trial, events[end].data["values"]
        for step in (3, 2, 1):
            seeds = {seed: {METRIC: 0.5, "loss": step} for seed in values}
            report = {"step": step, "steps": 4, "seeds": seeds}
            events.insert(end, TrialEvent(EventKind.REPORTED, trial, report))
    write_log(folder / "log.jsonl", events)
    assert main(["export", str(folder), "--digest", str(tmp_path / "out")]) == 0
    kept = load_study(tmp_path / "out")
    reports = [one.event.data for one in kept.events if one.event.kind is EventKind.REPORTED]
    assert len(reports) == 2 * len(ends)
    assert {data["step"] for data in reports} == {0, 3}
    assert {name for data in reports for own in data["seeds"].values() for name in own} == {METRIC}


@pytest.mark.parametrize("damage", ["version", "means", "scores", "twice"])
def test_a_damaged_digest_is_named(digest, tmp_path, damage):
    bad = shutil.copytree(digest, tmp_path / "bad")
    stored = json.loads((bad / "digest.json").read_text("utf-8"))
    if damage == "version":
        stored["version"] = 2
    if damage == "means":
        stored["step_means"] = {"c0000": {"credit_angle": {"100": "x"}}}
    (bad / "digest.json").write_text(json.dumps(stored), "utf-8")
    if damage == "scores":
        (bad / "scores.parquet").write_bytes(b"PAR1")
    if damage == "twice":
        table = pq.read_table(bad / "scores.parquet")
        pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), bad / "scores.parquet")
    study = load_study(bad)
    with pytest.raises(StudyUnreadable, match=r"scores\.parquet|digest\.json"):
        regime_map([study]).cells[0].scores  # noqa: B018


def test_scores_that_are_not_those_of_the_log_are_not_used(digest, tmp_path):
    bad = shutil.copytree(digest, tmp_path / "bad")
    table = pq.read_table(bad / "scores.parquet")
    perfect = pa.array([1.0] * len(table))
    changed = table.set_column(4, table.schema.field(4), perfect)
    pq.write_table(changed, bad / "scores.parquet")
    study = load_study(bad)
    assert final_scores(study, study.table.confirmations[0]) is None


def test_a_study_that_has_not_ended_gives_what_it_has(folder, tmp_path, capsys):
    lines = (folder / "log.jsonl").read_bytes().splitlines(keepends=True)
    running = shutil.copytree(folder, tmp_path / "running")
    (running / "log.jsonl").write_bytes(b"".join(lines[:-2]))
    assert main(["export", str(running), "--digest", str(tmp_path / "out")]) == 0
    assert "has not ended, 1 are open" in capsys.readouterr().out
    kept = load_study(tmp_path / "out")
    assert not kept.table.finished
    measured = [bool(cell.values) for cell in regime_map([kept]).cells]
    assert measured.count(False) == 1


@pytest.mark.parametrize("what", ["again", "filled", "both"])
def test_what_cannot_be_digested_is_refused_before_anything_is_written(
    folder, digest, tmp_path, capsys, what
):
    out = tmp_path / "out"
    words = [str(folder), "--digest", str(out)]
    if what == "again":
        words[0] = str(digest)
    if what == "filled":
        out.mkdir()
        (out / "mine.txt").write_text("mine", "utf-8")
    if what == "both":
        words += ["--sqlite", str(tmp_path / "a.sqlite3")]
    assert main(["export", *words]) == 2
    said = capsys.readouterr().err
    expected = {
        "again": "digest already",
        "filled": "not empty",
        "both": "name one",
    }
    assert expected[what] in said
    assert not out.exists() or [path.name for path in out.iterdir()] == ["mine.txt"]


def test_a_digest_is_not_continued(digest):
    study, table = small(), load_study(digest).table
    data = StudyData({"chain/hard": "0" * 12})
    assert claim(digest, study, data, table, resume=True, allow_changes=True).done
    longer = study.model_copy(update={"trials": 20})
    with pytest.raises(StudyError, match="is a digest"):
        claim(digest, longer, data, table, resume=True, allow_changes=True)
