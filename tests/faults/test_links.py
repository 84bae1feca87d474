"""A results directory from somebody else: nothing is written through what is planted in it."""

import os
import stat

import pytest
from study_shapes import shapes, write_shape

from conspo_study.commands.command_line import main
from conspo_study.files import make_folders, open_to_append, write_atomic
from conspo_study.records import CreditRow, EvalRow, EventKind, StudyError, TrialEvent
from conspo_study.results import names
from conspo_study.results.folder import refuse_links
from conspo_study.results.incidents import Incident, IncidentType, append_incident
from conspo_study.results.lease import Lease
from conspo_study.results.log import ResultsLog
from conspo_study.results.retention import held_in
from conspo_study.results.rows import append_credits, append_step_row, eval_path, write_eval_rows
from conspo_study.study import Study
from conspo_study.tracking.processes import tracking
from conspo_study.update.checkpoint_store import CheckpointStore

TRIAL = "t0001"


@pytest.fixture
def study(tmp_path):
    return write_shape(tmp_path / "theirs", shapes()["confirmed"])


@pytest.fixture
def mine(tmp_path):
    """My home: a file, and a folder with one, neither of which may change."""
    home = tmp_path / "home"
    (home / "seed0").mkdir(parents=True)
    (home / "thesis.tex").write_text("years of work\n")
    (home / "steps.jsonl").write_text("years of work\n")
    (home / "seed0" / "notes").write_text("years of work\n")
    before = contents(home)
    yield home
    assert contents(home) == before


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in sorted(folder.rglob("*"))}


FILES = [
    *(names.LOG, names.LEASE, names.DEFINITION, names.SNAPSHOT, names.QUARANTINE),
    *("report.html", "manifest.json", "optuna.sqlite3", "tables/trials.csv", "figures/pareto.png"),
    *(f"trials/{TRIAL}/{name}" for name in (names.CONFIG, names.STEPS, names.INCIDENTS)),
    *("tracking/tensorboard.log", "tracking/tensorboard.lock", "tracking/tensorboard.json"),
    *("ray/messages.log", "log.jsonl.repaired-1"),
]
FOLDERS = [
    *("trials", f"trials/{TRIAL}", "untrained", "ray", "ray/study-t0001", "tables", "figures"),
    *("tracking", "tracking/tensorboard", "tracking/tensorboard/t0001", "plugins"),
]
COMMANDS = ["resume {}", "extend {} --trials 9", "track {} --to tensorboard", "report {}"]
COMMANDS += ["export {}", "repair {}"]


def plant(study, name, target):
    path = study / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        path.rename(path.with_name("moved-away"))
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_link_is_named_before_any_work(study, mine, name):
    link = plant(study, name, mine if name in FOLDERS else mine / "thesis.tex")
    before = contents(study)
    with pytest.raises(StudyError, match=r"is a link to .*Nothing is written") as refused:
        refuse_links(study)
    assert str(link) in str(refused.value) and "\n" not in str(refused.value)
    assert contents(study) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_writes_refuses(study, mine, command, monkeypatch, capsys):
    link = plant(study, f"trials/{TRIAL}", mine)
    before = contents(study)
    monkeypatch.setattr("sys.argv", ["conspo", *command.format(study).split()])
    assert main() == 2
    error = capsys.readouterr().err
    assert str(link) in error and "Traceback" not in error
    assert contents(study) == before


def test_what_only_reads_does_not_refuse(study, mine, monkeypatch, capsys):
    plant(study, "notes.txt", mine / "thesis.tex")
    monkeypatch.setattr("sys.argv", ["conspo", "status", str(study)])
    assert main() == 0


def test_the_directory_itself_may_be_a_link(study, tmp_path):
    (tmp_path / "link").symlink_to(study)
    refuse_links(tmp_path / "link")
    make_folders(tmp_path / "link" / "tables", 1)
    write_atomic(tmp_path / "link" / "tables" / "trials.md", b"", 1)
    with ResultsLog(tmp_path / "link" / names.LOG) as log:
        log.append(TrialEvent(EventKind.STUDY_STARTED))
    assert (study / "tables" / "trials.md").exists()


def test_pipes_and_sockets_are_refused_too(study):
    os.mkfifo(study / "pipe")
    with pytest.raises(StudyError, match="it is a pipe, not a regular file"):
        refuse_links(study)


@pytest.mark.parametrize(
    ("name", "target", "allowed"),
    [
        ("tracking/wandb/latest-run", "run-1", True),
        ("tracking/wandb/debug.log", "run-1/logs/gone.log", True),
        ("tracking/wandb/latest-run", "../..", False),
        ("tracking/wandb/latest-run", "/etc", False),
        ("trials/t0000/steps.jsonl", "../../tracking/x", False),
    ],
)
def test_a_tracker_may_keep_links_within_its_folder(study, name, target, allowed):
    plant(study, name, target)
    if allowed:
        refuse_links(study)
        return
    with pytest.raises(StudyError, match="is a link to"):
        refuse_links(study)


# What follows plants a link after that look, or where no command looks.


def step(folder):
    append_step_row(folder / names.STEPS, {"seed": 0, "step": 1})


def credits(folder):
    append_credits(folder / names.CREDITS, 0, 1, [CreditRow(0, 0, "p", 0, True, 0.0, 0.0, 1)])


def evaluation(folder):
    row = EvalRow(0, 1, "s", "p", 0, "wrong", "", 1, "stopped")
    write_eval_rows(eval_path(folder, 0, 1), [row])


def incident(folder):
    append_incident(folder, Incident(IncidentType.STEP_SKIPPED, ""))


@pytest.mark.parametrize("write", [step, credits, evaluation, incident])
@pytest.mark.parametrize("linked", ["trials", f"trials/{TRIAL}"])
def test_rows_are_not_written_through_a_linked_folder(study, mine, write, linked):
    (mine / TRIAL).mkdir()
    plant(study, linked, mine)
    before = contents(mine)
    with pytest.raises(OSError, match="is a link"):
        write(names.trial_folder(study, TRIAL))
    assert contents(mine) == before
    (mine / TRIAL).rmdir()


@pytest.mark.parametrize("write", [step, credits])
def test_rows_are_not_appended_through_a_linked_file(study, mine, write):
    for name in (names.STEPS, names.CREDITS):
        plant(study, f"trials/{TRIAL}/{name}", mine / "thesis.tex")
    with pytest.raises(OSError, match="it is a link, through which nothing is written"):
        write(names.trial_folder(study, TRIAL))


def test_a_file_of_mine_that_is_named_twice_is_not_appended_to(study, mine):
    path = study / "trials" / TRIAL / names.STEPS
    path.unlink(missing_ok=True)
    path.hardlink_to(mine / "thesis.tex")
    with pytest.raises(OSError, match="a second name, a hard link"):
        step(path.parent)


def test_a_whole_file_takes_the_link_s_place(tmp_path, mine):
    (tmp_path / "config.json").symlink_to(mine / "thesis.tex")
    write_atomic(tmp_path / "config.json", b"{}")
    assert not (tmp_path / "config.json").is_symlink()


def test_log_and_lease_are_not_written_through_links(tmp_path, mine):
    (tmp_path / names.LOG).symlink_to(mine / "thesis.tex")
    with pytest.raises(OSError, match="it is a link"):
        ResultsLog(tmp_path / names.LOG)
    (tmp_path / names.LOG).unlink()
    (tmp_path / names.LEASE).symlink_to(mine / "thesis.tex")
    with ResultsLog(tmp_path / names.LOG, Lease(tmp_path / names.LEASE, takeover=True)) as log:
        log.append(TrialEvent(EventKind.SUGGESTED, TRIAL))
    assert not (tmp_path / names.LEASE).exists()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / names.STEPS
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 7))
        except PermissionError:
            pytest.skip("only root makes devices")
    with pytest.raises(OSError, match=r"not a regular file|s a directory|No such device"):
        open_to_append(path)


def test_a_tracker_s_files_are_not_emptied_through_links(study, mine):
    told = []
    for name in ("tensorboard.log", "tensorboard.lock"):
        plant(study, f"tracking/{name}", mine / "thesis.tex")
        with tracking(study, ["tensorboard"], lambda why, _: told.append(why), end_s=60):
            pass
        (study / "tracking" / name).unlink()
    assert len(told) == 2 and all("it is a link" in why for why in told)


@pytest.mark.parametrize("linked", ["ray", "ray/study-t0001"])
def test_checkpoints_are_neither_written_nor_removed_through_links(study, mine, linked):
    plant(study, linked, mine)
    folder = names.run_folder(study, "study", TRIAL)
    with pytest.raises(OSError, match="is a link"):
        CheckpointStore(folder, {}).write(20, lambda place: {})
    if linked == "ray":
        checkpoint = mine / "study-t0001" / "checkpoint_00020"
        checkpoint.mkdir(parents=True)
    else:
        checkpoint = mine / "checkpoint_00020"
        checkpoint.mkdir()
    assert list(held_in(folder)) == []
    for place in (checkpoint, checkpoint.parent):
        if place != mine:
            place.rmdir()


def test_folders_are_made_beside_no_link(tmp_path, mine):
    (tmp_path / "tables").symlink_to(mine)
    with pytest.raises(OSError, match="is a link"):
        make_folders(tmp_path / "tables" / "new", 2)
    make_folders(tmp_path / "figures" / "new", 2)
    assert (tmp_path / "figures" / "new").is_dir()


def test_resuming_refuses_before_the_plan(study, mine):
    plant(study, names.SNAPSHOT, mine / "thesis.tex")
    with pytest.raises(StudyError, match="is a link"):
        Study.of_folder(study).run_in(study, resume=True)
