"""No module but results/names.py spells the name of a file of a results directory."""

import ast
from pathlib import Path

import pytest

from conspo_study.records.checkpoints import checkpoint_name, checkpoint_step
from conspo_study.results import names

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    value
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and "." in value and name != "CONFIG"
}
PARTS = ("eval-", "rollouts-", "worker-", "checkpoint_0", "trials/", "untrained/", "messages.log")
HOMES = {"conspo_study/results/names.py", "conspo_study/records/checkpoints.py"}
SOURCES = [
    path
    for package in ("conspo_study", "analysis")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.relative_to(ROOT).as_posix() not in HOMES
]


def texts_of(path):
    """Texts of a module that are not its documentation, those inside f-strings included."""
    tree = ast.parse(path.read_text())
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            yield str(node.value)


def test_the_names_are_known():
    assert {"study.json", "log.jsonl", "driver.json", "steps.jsonl", "failure.txt"} <= FILES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_name_is_spelled_in_one_place(path):
    for text in texts_of(path):
        assert text not in FILES and not text.startswith(PARTS), f"{path}: {text!r}"


def test_places_are_below_the_results_directory(tmp_path):
    assert names.trial_folder(tmp_path, "t0") == tmp_path / "trials" / "t0"
    assert names.run_folder(tmp_path, "study", "t0") == tmp_path / "ray" / "study-t0"
    run = names.run_folder(tmp_path, "study", "t0")
    run.mkdir(parents=True)
    for rank in (0, 1):
        names.worker_file(run, rank).touch()
    assert [path.name for path in names.worker_files(run)] == ["worker-0.json", "worker-1.json"]


def test_leftovers_are_temporary_files_and_nothing_else(tmp_path):
    left = [".study.json.x1.tmp", "trials/t0/.eval-0-00000.parquet.x1.tmp", "untrained/a/.e.x.tmp"]
    left += ["ray/run/.worker-0.json.x.tmp"]
    others = ["trials/t0/notes.tmp", "trials/t0/.hidden", "ray/run/.x.tmp", "trials/.x.tmp"]
    for name in left + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = sorted(path.relative_to(tmp_path).as_posix() for path in names.leftovers(tmp_path))
    assert found == sorted(left)


def test_checkpoints_are_known_by_their_names():
    assert checkpoint_name(20) == "checkpoint_00020"
    assert checkpoint_step("checkpoint_00020") == (20, "")
    assert checkpoint_step("checkpoint_123456.partial") == (123456, ".partial")
    assert checkpoint_step("checkpoint_00020.damaged") == (20, ".damaged")
    for name in ("checkpoint_2", "checkpoint_00020.old", "checkpoint_000020_x", "x"):
        assert checkpoint_step(name) is None
