"""Objects are found by import path, by an installed package's name, or in the running script."""

import subprocess
import sys

import pytest

from conspo_study.plugins import (
    REWARDS,
    PluginError,
    import_path,
    is_import_path,
    load,
    load_module,
    path_of,
)

METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: 1\n"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("losses:GapHinge", True),
        ("my_pkg.losses:Outer.Inner", True),
        ("my-study:GapHinge", True),
        ("losses", False),
        ("losses:", False),
        (":GapHinge", False),
        ("losses:Gap Hinge", False),
        ("problems/mine.py:GapHinge", False),
        ("a:b:c", False),
    ],
)
def test_an_import_path_is_a_module_and_a_name(text, right):
    assert is_import_path(text) is right


def test_what_a_path_leads_to_is_loaded_from_modules_packages_and_odd_file_names(place):
    place("losses.py", "class Outer:\n    class Inner: pass\n")
    place("pkg/__init__.py", "")
    place("pkg/inner.py", "value = 7\n")
    place("my-study.py", "def score(): pass\n")
    assert load("losses:Outer.Inner").__qualname__ == "Outer.Inner"
    assert load("pkg.inner:value") == 7
    assert load("my-study:score").__name__ == "score"


@pytest.mark.parametrize(
    ("source", "path", "said"),
    [
        ("x = 1", "nowhere:x", ["'nowhere' is not found", "PYTHONPATH"]),
        ("x = 1", "mod.inner:x", ["'mod.inner' is not found"]),
        ("import absent_library", "mod:x", ["ModuleNotFoundError", "absent_library", "line 1"]),
        ("a = 1\nb = 1 / 0", "mod:x", ["ZeroDivisionError", "mod.py, line 2"]),
        ("def broken(:\n", "mod:x", ["SyntaxError", "mod.py, line 1"]),
        ("raise SystemExit(3)", "mod:x", ["SystemExit"]),
        ("gap_hinge = 1", "mod:gap_hing", ["no 'gap_hing'", "did you mean gap_hinge?"]),
    ],
)
def test_what_cannot_be_loaded_says_where_and_why(place, source, path, said):
    place("mod.py", source)
    with pytest.raises(PluginError) as caught:
        load(path)
    for part in said:
        assert part in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "run",
    [
        "from conspo_study.commands.script import main\nraise SystemExit(main(None))",
        "from study_fixtures import definition\nfrom conspo_study.study import Study\n"
        "definition(Study).run(__import__('pathlib').Path())",
    ],
)
def test_a_script_that_runs_its_study_when_it_is_imported_is_told_to_guard_it(place, run):
    place("unguarded.py", f"class Own: pass\n{run}\n")
    with pytest.raises(PluginError, match=r"'unguarded' runs a study .* `if __name__ =="):
        load("unguarded:Own")


def test_a_class_or_function_has_a_path_and_what_nobody_could_import_has_none(place):
    place("losses.py", "class GapHinge:\n    def method(self): pass\n")
    module = load_module("losses")
    assert import_path(module.GapHinge) == "losses:GapHinge"
    assert load(import_path(module.GapHinge.method)) is module.GapHinge.method
    for nameless in (lambda: 0, 5):
        with pytest.raises(PluginError):
            import_path(nameless)


def test_an_installed_package_gives_names(place):
    place("gap_plugin.py", "def score(prompt, response, problem): return 1\n")
    place("gap_plugin-1.0.dist-info/METADATA", METADATA.format("gap-plugin"))
    entry = f"[{REWARDS}]\nclose = gap_plugin:score\nodd = gap_plugin\n"
    place("gap_plugin-1.0.dist-info/entry_points.txt", entry)
    assert path_of("close", REWARDS) == "gap_plugin:score"
    assert path_of("other", REWARDS) is None
    with pytest.raises(PluginError, match="not of the form"):
        path_of("odd", REWARDS)
    place("rival-1.0.dist-info/METADATA", METADATA.format("rival"))
    place("rival-1.0.dist-info/entry_points.txt", f"[{REWARDS}]\nclose = rival:score\n")
    with pytest.raises(PluginError, match=r"several installed packages \(gap-plugin, rival\)"):
        path_of("close", REWARDS)


@pytest.mark.parametrize("started", [["mine.py"], ["-m", "mine"]])
def test_the_running_script_is_a_module_that_is_not_run_again(tmp_path, started):
    (tmp_path / "mine.py").write_text(
        "print('run')\n"
        "from conspo_study.plugins import import_path, load\n"
        "class Own: pass\n"
        "if __name__ == '__main__':\n"
        "    print(import_path(Own), load('mine:Own') is Own)\n"
    )
    run = [sys.executable, *started]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "run\nmine:Own True\n"


def test_a_session_without_a_file_is_told_to_write_one():
    code = "from conspo_study.plugins import import_path\nclass Own: pass\nimport_path(Own)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "interactive session or a notebook" in done.stderr
    assert "move it into a file" in done.stderr
