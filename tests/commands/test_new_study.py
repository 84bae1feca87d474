"""`conspo init`: a study file that runs as it is."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from conspo_study.commands.command_line import main
from conspo_study.commands.new_study import _valid
from conspo_study.config import RunConfig, with_overrides
from conspo_study.config.setting_files import read_settings
from conspo_study.definition.presets import EMBEDDED


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("word", ["my_study", "my_study.py", "a folder/my_study"])
def test_the_file_can_be_planned_in_both_ways(place, word, run_script, capsys):
    (place / "a folder").mkdir()
    assert main(["init", word]) == 0
    path = Path(word).with_name("my_study.py")
    assert f"conspo run {shlex.quote(str(path))} --preset quick" in capsys.readouterr().out
    done = run_script(path, "--preset", "quick", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert main(["run", str(path), "--preset", "quick", "--dry-run"]) == 0
    for planned in (done.stdout, capsys.readouterr().out):
        assert "8 (1 baseline, 7 searched) x 2 seeds" in planned


def test_the_file_is_short_and_imports_one_line(place):
    main(["init", "my_study"])
    text = (place / "my_study.py").read_text()
    assert len(text.splitlines()) < 35
    imports = [n for n in ast.parse(text).body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [node.module for node in imports] == ["conspo_study"]


def test_a_file_of_all_settings_changes_nothing_until_a_comment_is_taken_away(place, capsys):
    assert main(["init", "my_study", "--config"]) == 0
    assert "--preset quick --config my_study.toml" in capsys.readouterr().out
    path = place / "my_study.toml"
    assert read_settings(path) == {}
    text = path.read_text("utf-8")
    for stage in RunConfig.model_fields:
        assert f"\n[{stage}]\n" in text
    taken = re.sub(r"^# (\w+ = .+)$", r"\1", text, flags=re.MULTILINE)
    assert taken != text
    path.write_text(taken, "utf-8")
    assert with_overrides(EMBEDDED, read_settings(path)) == EMBEDDED, "its values are the preset's"


def test_a_name_that_is_taken_leaves_no_file_of_settings(place, capsys):
    (place / "mine.py").write_text("precious")
    assert main(["init", "mine", "--config"]) == 2
    assert [path.name for path in place.iterdir()] == ["mine.py"]


def test_nothing_is_overwritten(place, capsys):
    (place / "mine.py").write_text("precious")
    assert main(["init", "mine"]) == 2
    assert "mine.py is there already" in capsys.readouterr().err
    assert (place / "mine.py").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my study", "for example my_study"),
        ("class", "for example study_class"),
        ("1st", "for example study_1st"),
        ("größe", "for example gr_e"),
        ("_x", "for example x"),
        ("margin_sweep", "margin_sweep is a packaged study"),
        ("random", "would be imported in place of the module random"),
        ("torch", "would be imported in place of the module torch"),
        ("nowhere/x", "nowhere/x.py cannot be written: No such file or directory"),
    ],
)
def test_a_name_that_would_not_work_is_refused(place, name, message, capsys):
    assert main(["init", name]) == 2
    assert message in capsys.readouterr().err
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["", "!!!", "a" * 99, "for"])
def test_what_is_suggested_is_a_name(name):
    assert _valid(name).isidentifier() and 0 < len(_valid(name)) <= 64
