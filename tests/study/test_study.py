"""A results directory belongs to one definition; everything else is refused with the difference."""

import json

import pytest
from study_fixtures import TAU, definition

from conspo_study.definition import StudyError
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog
from conspo_study.space import Choice
from conspo_study.study import Study, read_definition


@pytest.fixture
def launched(monkeypatch):
    """Replaces Ray by a record of what would have been launched."""
    calls = []

    def launch(study, folder, log, console):
        log.append(
            TrialEvent(EventKind.SUGGESTED, "t0000", {"params": {TAU: 1.0}, "seeds": [0, 1]})
        )
        calls.append(study)
        return False

    monkeypatch.setattr("conspo_study.launch.launch", launch)
    return calls


def run(tmp_path, study=None, **options):
    return (study or definition(Study)).run(tmp_path, **options)


def test_the_definition_and_the_snapshot_are_written_before_the_first_trial(tmp_path, launched):
    outcome = run(tmp_path)
    assert not outcome.complete
    stored = read_definition(outcome.folder)
    assert stored["hash"] == definition().hash
    assert Study.model_validate(stored["definition"]) == definition(Study)
    snapshot = json.loads((outcome.folder / "snapshot.json").read_text())
    assert snapshot["packages"]["torch"]
    assert "chain/hard" in snapshot["data"]
    assert snapshot["seeds"] == [0, 0, 1]


def test_another_definition_under_the_same_name_is_refused_with_the_difference(tmp_path, launched):
    run(tmp_path)
    other = definition(Study, space={TAU: Choice(values=(0.1, 2.0))})
    with pytest.raises(StudyError, match="another definition") as caught:
        run(tmp_path, other)
    assert "space.objective.tau.values: [0.1, 1.0] there, [0.1, 2.0] here" in str(caught.value)
    assert len(launched) == 1


def test_an_interrupted_study_is_continued_only_when_asked_to(tmp_path, launched):
    run(tmp_path)
    with pytest.raises(StudyError, match="continue it with --resume"):
        run(tmp_path)
    run(tmp_path, resume=True)
    assert len(launched) == 2


def test_a_complete_study_is_not_run_again(tmp_path, launched):
    folder = run(tmp_path, definition(Study, anchors=(), trials=1)).folder
    with ResultsLog(folder / "log.jsonl") as log:
        log.append(TrialEvent(EventKind.FINISHED, "t0000", {"step": 4, "value": 0.5}))
        log.append(TrialEvent(EventKind.STUDY_FINISHED))
    assert run(tmp_path, definition(Study, anchors=(), trials=1)).complete
    assert len(launched) == 1


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path, launched):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "thesis.tex").write_text("years of work")
    with pytest.raises(StudyError, match="holds no study"):
        run(tmp_path)
    assert not launched


def test_changed_data_are_refused(tmp_path, launched):
    folder = run(tmp_path).folder
    stored = json.loads((folder / "study.json").read_text())
    stored["data"]["chain/hard"] = "0" * 64
    (folder / "study.json").write_text(json.dumps(stored))
    with pytest.raises(StudyError, match=r"data of the study .* have changed.*chain/hard"):
        run(tmp_path, resume=True)


def test_a_results_directory_of_another_version_is_refused(tmp_path, launched):
    folder = run(tmp_path).folder
    stored = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**stored, "schema": 99}))
    with pytest.raises(StudyError, match="schema 99"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("cpus", "gpus", "settings", "message"),
    [
        (1, 0, {"train.workers": 2}, "needs 2 CPU cores (2 workers x 1), there are 1"),
        (8, 0, {"train.gpus_per_worker": 1}, "needs 1 GPUs, there are 0"),
    ],
)
def test_a_plan_that_cannot_be_placed_says_so(cpus, gpus, settings, message):
    from conspo_study.config import with_overrides

    study = definition(Study)
    study = definition(Study, base=with_overrides(study.base, settings))
    assert any(message in problem for problem in study.plan(cpus, gpus).problems)


def test_concurrency_follows_from_the_machine():
    assert definition(Study).plan(cpus=2).concurrent == 2
    assert definition(Study).plan(cpus=64).concurrent == 6  # no more than there are trials
