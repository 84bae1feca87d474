"""A results directory belongs to one definition; everything else is refused with the difference."""

import errno
import json
import os
import shutil

import pytest
from study_fixtures import TAU, definition

from conspo_study.config import with_overrides
from conspo_study.definition.space import Choice
from conspo_study.records import EventKind, StudyError, TrialEvent
from conspo_study.results.folder import read_definition
from conspo_study.results.log import ResultsLog, read_log
from conspo_study.results.table import build_table
from conspo_study.study import Study

CODE = {"hash": "c0de", "git": "1" * 40, "files": {"train.py": "a", "search.py": "b"}}


@pytest.fixture(autouse=True)
def code(monkeypatch):
    """The code that the tests pretend to be run with."""
    identity = json.loads(json.dumps(CODE))
    monkeypatch.setattr("conspo_study.study.claim.code_identity", lambda **_: identity)
    return identity


@pytest.fixture
def launched(monkeypatch):
    """Replaces Ray by a record of what would have been launched."""
    calls = []

    def launch(study, folder, log, plan, console, retried, expected_nodes):
        if not log.table.rows:
            suggestion = {"params": {TAU: 1.0}, "seeds": [0, 1]}
            log.append(TrialEvent(EventKind.SUGGESTED, "t0000", suggestion))
        calls.append(study)
        return False

    monkeypatch.setattr("conspo_study.cluster.launch.launch", launch)
    return calls


def test_nodes_are_waited_for_on_a_cluster_alone(launched, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(StudyError, match=r"--wait-for-nodes is about a cluster.*set RAY_ADDRESS"):
        definition(Study).run(tmp_path, expected_nodes=2)
    assert not launched and not list(tmp_path.iterdir())


def finish(folder, trials=1):
    """Bring the study in the folder to its end, with `trials` trials."""
    with ResultsLog(folder / "log.jsonl") as log:
        for number in range(trials):
            trial = f"t{number:04d}"
            if number:
                log.append(TrialEvent(EventKind.SUGGESTED, trial, {"seeds": [0, 1]}))
            log.append(TrialEvent(EventKind.FINISHED, trial, {"step": 4, "value": 0.5}))
        log.append(TrialEvent(EventKind.STUDY_FINISHED))


def starts(folder):
    events = [logged.event for logged in read_log(folder / "log.jsonl")]
    return [event.data for event in events if event.kind is EventKind.STUDY_STARTED]


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
    with pytest.raises(StudyError, match="began with other settings") as caught:
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
    study = definition(Study, anchors=(), trials=1)
    folder = run(tmp_path, study).folder
    finish(folder)
    before = (folder / "log.jsonl").read_bytes()
    for options in ({}, {"resume": True}):
        outcome = run(tmp_path, study, **options)
        assert outcome.complete and not outcome.ran
    assert len(launched) == 1
    assert (folder / "log.jsonl").read_bytes() == before


def test_trials_that_the_machine_made_fail_are_run_again_when_asked_for(tmp_path, monkeypatch):
    asked = []

    def launch(study, folder, log, plan, console, retried, expected_nodes):
        asked.append(list(retried))
        for number, machine in enumerate((False, True)):
            trial = f"t{number:04d}"
            if len(asked) == 1:
                suggestion = {"params": {TAU: 1.0 + number}, "seeds": [0, 1]}
                log.append(TrialEvent(EventKind.SUGGESTED, trial, suggestion))
            if len(asked) == 1 or trial in retried:
                kind = EventKind.FAILED if len(asked) == 1 else EventKind.FINISHED
                log.append(TrialEvent(EventKind.STARTED, trial))
                log.append(TrialEvent(kind, trial, {"cause": "x", "machine": machine}))
        return True

    monkeypatch.setattr("conspo_study.cluster.launch.launch", launch)
    study = definition(Study, anchors=(), trials=2)
    first = run(tmp_path, study)
    assert (first.failed, first.failed_by_machine) == (("t0000", "t0001"), ("t0001",))
    assert not run(tmp_path, study, resume=True).ran
    again = run(tmp_path, study, resume=True, retry_failed=True)
    assert (again.failed, again.failed_by_machine, again.finished) == (("t0000",), (), 1)
    assert not run(tmp_path, study, resume=True, retry_failed=True).ran
    assert asked == [[], ["t0001"]]


def test_a_study_that_ended_short_of_its_budget_is_complete_until_the_budget_grows(
    tmp_path, launched
):
    folder = run(tmp_path).folder  # 6 trials were asked for, and the space held 3
    finish(folder, trials=3)
    assert run(tmp_path).complete
    with pytest.raises(StudyError, match="3 of 7 trials done: continue it with --resume"):
        run(tmp_path, definition(Study, trials=7))
    assert not run(tmp_path, definition(Study, trials=7), resume=True).complete
    assert starts(folder)[-1]["trials"] == 7
    # Killed before its first event, it is still not complete.
    with pytest.raises(StudyError, match="continue it with --resume"):
        run(tmp_path, definition(Study, trials=7))


def test_the_budget_grows_without_asking_and_never_cuts_what_ran(tmp_path, launched):
    folder = run(tmp_path).folder
    run(tmp_path, definition(Study, trials=9), resume=True)
    assert read_definition(folder)["definition"]["trials"] == 9
    assert starts(folder)[-1]["changes"] == []
    finish(folder, trials=5)
    for study in (definition(Study, trials=4), definition(Study, trials=2)):
        with pytest.raises(StudyError, match=r"already has 5 trials.*--trials 5 or more"):
            run(tmp_path, study, resume=True)


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path, launched):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "thesis.tex").write_text("years of work")
    with pytest.raises(StudyError, match="holds no study"):
        run(tmp_path)
    assert not launched


def change_data(folder):
    stored = json.loads((folder / "study.json").read_text())
    stored["data"]["chain/hard"] = "0" * 64
    (folder / "study.json").write_text(json.dumps(stored))


def test_changed_data_are_refused(tmp_path, launched):
    folder = run(tmp_path).folder
    change_data(folder)
    with pytest.raises(StudyError, match="data: chain/hard has another content"):
        run(tmp_path, resume=True)


def test_changed_code_is_refused_by_file_and_commit(tmp_path, launched, code):
    run(tmp_path)
    code.update(hash="other", git="2" * 40, files={**code["files"], "train.py": "z"})
    with pytest.raises(StudyError, match="--allow-changes") as caught:
        run(tmp_path, resume=True)
    assert "code: git 111111111111 there, git 222222222222 here (1 file differs: train.py)" in str(
        caught.value
    )
    assert len(launched) == 1


def test_a_finished_study_is_reported_whatever_became_of_the_code(tmp_path, launched, code):
    study = definition(Study, anchors=(), trials=1)
    finish(run(tmp_path, study).folder)
    code.update(hash="other", files={})
    assert run(tmp_path, study).complete


def test_accepted_changes_are_recorded_once_and_the_log_belongs_to_the_definition(
    tmp_path, launched, code
):
    folder = run(tmp_path).folder
    change_data(folder)
    code.update(hash="other", files={**code["files"], "train.py": "z"})
    other = definition(Study, space={TAU: Choice(values=(0.1, 2.0))}, direction="min")
    with pytest.raises(StudyError):
        run(tmp_path, other, resume=True)
    run(tmp_path, other, resume=True, allow_changes=True)
    recorded = starts(folder)[-1]["changes"]
    assert "direction: 'max' there, 'min' here" in recorded
    assert any(change.startswith("code: ") for change in recorded)
    assert any(change.startswith("data: chain/hard") for change in recorded)
    stored = read_definition(folder)
    assert stored["changes"] == recorded
    table = build_table(read_log(folder / "log.jsonl"))
    assert table.hash == stored["hash"] == other.hash
    run(tmp_path, other, resume=True)
    assert starts(folder)[-1]["changes"] == []
    assert table.changes == tuple(recorded)


class Killed(Exception):
    """Stands for a kill."""


def killed(log, event):
    raise Killed


def test_changes_accepted_by_a_start_that_was_killed_at_once_are_not_forgotten(
    tmp_path, launched, monkeypatch
):
    folder = run(tmp_path).folder
    other = definition(Study, direction="min")
    with monkeypatch.context() as context:
        context.setattr(ResultsLog, "append", killed)
        with pytest.raises(Killed):
            run(tmp_path, other, resume=True, allow_changes=True)
    run(tmp_path, other, resume=True)
    assert starts(folder)[-1]["changes"] == ["direction: 'max' there, 'min' here"]


def test_a_directory_that_was_moved_is_resumed(tmp_path, launched):
    folder = run(tmp_path / "here").folder
    shutil.copytree(folder, tmp_path / "there" / "another name")
    outcome = definition(Study).run_in(tmp_path / "there" / "another name", resume=True)
    assert outcome.folder == tmp_path / "there" / "another name"
    assert len(launched) == 2
    for name in ("study.json", "snapshot.json", "log.jsonl"):
        assert str(tmp_path) not in (outcome.folder / name).read_text()


def test_a_start_that_was_killed_before_it_wrote_anything_is_begun_again(tmp_path, launched):
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "log.jsonl").touch()
    (folder / ".study.json.x1y2.tmp").write_text("{")
    assert run(tmp_path).folder == folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "log.jsonl",
        "snapshot.json",
        "study.json",
    ]


def test_a_log_without_its_definition_is_not_written_to(tmp_path, launched):
    folder = run(tmp_path).folder
    (folder / "study.json").unlink()
    with pytest.raises(StudyError, match=r"holds no study\.json"):
        run(tmp_path, resume=True)


def test_a_damaged_log_is_refused_with_the_command_that_repairs_it(tmp_path, launched):
    folder = run(tmp_path).folder
    path = folder / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b"resumed", b"Resumed"))
    with pytest.raises(StudyError, match=f"line 1 is damaged.*conspo repair {folder}"):
        run(tmp_path, resume=True)


def test_a_driver_is_named_in_the_folder_only_while_it_runs(tmp_path, monkeypatch):
    seen = []

    def launch(study, folder, log, plan, console, retried, expected_nodes):
        seen.append(json.loads((folder / "driver.json").read_text()))
        with pytest.raises(StudyError, match=f"process {os.getpid()} on host"):
            run(tmp_path, resume=True)
        return False

    monkeypatch.setattr("conspo_study.cluster.launch.launch", launch)
    folder = run(tmp_path).folder
    assert seen[0]["pid"] == os.getpid()
    assert not (folder / "driver.json").exists()


def test_an_unwritable_directory_is_refused(tmp_path, launched, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StudyError, match=r"cannot be written.*choose another with --results"):
        run(tmp_path)
    assert not launched


def test_a_file_system_without_locks_is_refused(tmp_path, launched, monkeypatch):
    def no_locks(fd, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(StudyError, match=r"log\.jsonl: cannot lock .*that supports locks"):
        run(tmp_path)
    assert not launched


def test_a_disk_without_room_for_the_plan_is_refused(tmp_path, launched, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(StudyError, match=r"needs about \d+\.\d MB of disk .* 1\.05 MB are free"):
        run(tmp_path)
    assert not launched


def test_an_error_of_ours_is_not_taken_for_a_full_disk(tmp_path, monkeypatch):
    def launch(study, folder, log, plan, console, retried, expected_nodes):
        raise ZeroDivisionError

    monkeypatch.setattr("conspo_study.cluster.launch.launch", launch)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path)


def test_a_study_is_rebuilt_from_its_directory_alone(tmp_path, launched):
    study = definition(Study, trials=5, direction="min")
    folder = run(tmp_path, study).folder
    assert Study.of_folder(folder) == study
    stored = json.loads((folder / "study.json").read_text())
    stored["definition"]["surprise"] = 1
    (folder / "study.json").write_text(json.dumps(stored))
    with pytest.raises(StudyError, match=r"does not understand.*surprise"):
        Study.of_folder(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": 1}', "[" * 100_000, None])
def test_an_unreadable_definition_is_refused(tmp_path, content):
    (tmp_path / "log.jsonl").write_text("")
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(
        StudyError, match=r"study\.json (cannot be read|is gone).*restore it from a copy"
    ):
        read_definition(tmp_path)


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
        (8, 0, {"train.gpus_per_worker": 1}, "needs 1 GPU, there are 0"),
    ],
)
def test_a_plan_that_cannot_be_placed_says_so(cpus, gpus, settings, message):
    study = definition(Study)
    study = definition(Study, base=with_overrides(study.base, settings))
    assert any(message in problem for problem in study.plan(cpus, gpus).problems)


def test_concurrency_follows_from_the_machine():
    assert definition(Study).plan(cpus=2).concurrent == 2
    assert definition(Study).plan(cpus=64).concurrent == 4  # lag + 1


def test_what_is_left_out_of_the_data_is_written_down_with_its_reasons(tmp_path, launched, capsys):
    rows = [{"id": f"q{i}", "problem": f"{i}+1=?\n", "answer": "1"} for i in range(3)]
    rows.append({"id": "bad", "problem": "p"})
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows))
    test.write_text(json.dumps(rows[1]) + "\n")
    settings = {
        "data.train": str(train),
        "data.max_bad_rows": 0.5,
        "data.on_overlap": "drop",
        "evaluation.sets": (str(test), "chain/hard"),
    }
    study = definition(Study, base=with_overrides(definition().base, settings))
    study.run(tmp_path / "results")
    folder = tmp_path / "results" / "test"
    written = [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]
    assert written == [
        {"set": str(train), "row": 4, "id": None, "reason": "answer is missing"},
        {"set": str(train), "row": None, "id": "q1", "reason": f"is q1 of {test}"},
    ]
    assert json.loads((folder / "snapshot.json").read_text())["left_out"] == {str(train): 2}
    told = capsys.readouterr().out
    assert f"{train}: 1 left out (row 4: answer is missing)" in told
    assert f"{train}: 1 left out (q1: is q1 of {test})" in told
    assert launched

    # The same problems without the rows that took no part are the same data.
    train.write_text("".join(json.dumps(row) + "\n" for row in (rows[0], rows[2])))
    study.run(tmp_path / "results", resume=True)
    assert (folder / "quarantine.jsonl").read_text() == ""


def test_a_study_whose_data_is_clean_leaves_no_list_of_what_it_left_out(tmp_path, launched):
    definition(Study).run(tmp_path)
    assert not (tmp_path / "test" / "quarantine.jsonl").exists()
