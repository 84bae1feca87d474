"""A path is typed as in a shell, wherever it is typed."""

from pathlib import Path

import pytest
import tyro

from conspo_study.commands.look import Status
from conspo_study.commands.options import StudyOptions
from conspo_study.commands.typed_paths import NoSuchHome, typed_path
from conspo_study.commands.upkeep import Export


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_home_directory_is_meant_by_its_sign(home):
    assert typed_path("~/x y") == home / "x y"
    assert typed_path("~") == home
    assert typed_path("a/~/b") == Path("a/~/b")


@pytest.mark.parametrize("options", [["--results=~/x"], ["--results", "~/x"]])
def test_options_of_a_study_take_it(home, options):
    assert tyro.cli(StudyOptions, args=options).results == home / "x"
    assert tyro.cli(StudyOptions, args=["--data-dir=~/d"]).data_dir == home / "d"
    assert tyro.cli(StudyOptions, args=[]).data_dir is None


def test_folders_of_commands_take_it(home):
    assert tyro.cli(Status, args=["~/x"]).folder == home / "x"
    assert tyro.cli(Export, args=["~/x", "--sqlite=~/y"]).sqlite == home / "y"


def test_the_home_of_nobody_is_bad_input(capsys):
    with pytest.raises(NoSuchHome, match="there is no such home directory"):
        typed_path("~no-such-user/x")
    with pytest.raises(SystemExit) as ended:
        tyro.cli(Status, args=["~no-such-user/x"])
    assert ended.value.code == 2
    assert "no such home directory" in " ".join(capsys.readouterr().err.split())
