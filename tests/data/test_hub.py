"""Sets from the hub become files like any other. The library is replaced at its one call."""

import json
import sys
import types

import pytest

from conspo_study.data.benchmarks import BENCHMARKS, NAMED, PAPER_SETS, TRAINING_SETS
from conspo_study.data.hub import HubError, cached_file, fetch
from conspo_study.data.problems import read_problems
from conspo_study.records import Problem

BEFORE, AFTER = TRAINING_SETS["dapo-math-17k"].hub.around
HUB_ROWS = {
    # As the columns of each dataset are, extra ones left out.
    "aime24": [{"id": 60, "problem": "p", "solution": "s", "answer": "204", "year": "2024"}],
    "aime25": [{"problem_idx": 1, "problem": "p", "answer": 70, "problem_type": ["Algebra"]}],
    "aime26": [{"problem_idx": 1, "problem": "p", "answer": 277}],
    "hmmt25": [{"problem_idx": 4, "problem": "p", "answer": "\\frac{1}{576}"}],
    "amc": [{"id": 0, "problem": "p", "answer": 142.0, "url": "u"}],
    "amc23": [{"id": 0, "question": "p", "answer": "27", "url": "u"}],
    "math500": [{"problem": "p", "answer": "3", "level": 2, "unique_id": "test/a/1.json"}],
    "olympiadbench": [{"id": 1606, "question": "p", "final_answer": ["2"], "unit": None}],
    "gsm8k": [{"question": "p", "answer": "9 * 2 = <<9*2=18>>18\n#### 1,018"}],
    "minerva": [{"question": "p", "answer": "1.6"}],
    "deepscaler": [{"problem": "p", "answer": "-\\frac{2}{3}", "solution": "s"}],
    "dapo-math-17k": [{"prompt": f"{BEFORE}p{AFTER}", "solution": "34", "data_source": "x"}],
    "gsm8k-train": [{"question": "p", "answer": "text\n#### 72"}],
    "math-train": [{"id": "a/1", "problem": "p", "expected_answer": "2", "solution": "s"}],
}
EXPECTED = {
    "aime24": ("60", "204"),
    "aime25": ("1", "70"),
    "aime26": ("1", "277"),
    "hmmt25": ("4", "\\frac{1}{576}"),
    "amc": ("0", "142"),
    "amc23": ("0", "27"),
    "math500": ("test/a/1.json", "3"),
    "olympiadbench": ("1606", "2"),
    "gsm8k": ("0", "1018"),
    "minerva": ("0", "1.6"),
    "deepscaler": ("0", "-\\frac{2}{3}"),
    "dapo-math-17k": ("0", "34"),
    "gsm8k-train": ("0", "72"),
    "math-train": ("a/1", "2"),
}


class Rows(list):
    @property
    def column_names(self):
        return list(self[0])


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """`hub.rows` is what the hub holds, `hub.calls` what it was asked for."""
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path))
    hub = types.SimpleNamespace(rows=[], calls=[], error=None)

    def load_dataset(path, name=None, *, split):
        hub.calls.append((path, name, split))
        if hub.error:
            raise hub.error
        return Rows(hub.rows)

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return hub


@pytest.mark.parametrize("name", NAMED)
def test_every_named_set_becomes_a_problem_file(hub, name):
    entry, hub.rows = NAMED[name], HUB_ROWS[name]
    path = fetch(entry)
    identity, answer = EXPECTED[name]
    assert path == cached_file(entry)
    assert read_problems(path, 0) == ([Problem(identity, "p", answer)], [])
    assert hub.calls == [(entry.hub.path, entry.hub.config, entry.hub.split)]
    assert len(list(path.parent.iterdir())) == 1, "no temporary file stays"


def test_rows_without_a_value_are_left_out_like_those_of_a_file(hub):
    hub.rows = [
        {"id": 1, "question": "p", "final_answer": []},
        {"id": 2, "question": None, "final_answer": ["2"]},
        {"id": 3, "question": "p", "final_answer": ["2", "3"]},
    ]
    problems, bad = read_problems(fetch(NAMED["olympiadbench"]), 1)
    assert [problem.answer for problem in problems] == ["2"]
    assert [one.reason for one in bad] == ["answer is missing", "problem is missing"]
    hub.rows = [{"question": "p", "answer": "no mark"}, {"question": "p", "answer": "#### 5"}]
    assert len(read_problems(fetch(NAMED["gsm8k"]), 1)[1]) == 1


def test_a_dataset_with_other_columns_is_refused_by_name(hub):
    hub.rows = [{"Problem": "p", "answer": 1}]
    with pytest.raises(
        HubError, match=r"aime25: .* has no column problem_idx, problem, but Problem"
    ):
        fetch(NAMED["aime25"])


def test_without_the_library_the_message_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setattr("conspo_study.extras.installed", lambda name: name != "datasets")
    with pytest.raises(HubError, match=r"pip install 'conspo-study\[hub\]'") as caught:
        fetch(NAMED["aime24"])
    assert "\n" not in str(caught.value) and "--data-dir" in str(caught.value)


@pytest.mark.parametrize("offline", ["1", ""])
def test_what_the_network_says_becomes_one_line(hub, monkeypatch, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    hub.error = ConnectionError("Couldn't reach\n'HuggingFaceH4/aime_2024' on the Hub" + 900 * "x")
    with pytest.raises(HubError, match="cannot be fetched") as caught:
        fetch(NAMED["aime24"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert ("HF_HUB_OFFLINE is set" in str(caught.value)) == bool(offline)


def test_an_interrupted_write_leaves_no_file(hub, monkeypatch):
    hub.rows = HUB_ROWS["aime24"]

    def dumps(row):
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dumps", dumps)
    with pytest.raises(KeyboardInterrupt):
        fetch(NAMED["aime24"])
    assert list(cached_file(NAMED["aime24"]).parent.iterdir()) == []


def test_a_changed_recipe_is_another_cached_file(hub):
    names = [cached_file(entry).name for entry in NAMED.values()]
    assert len(set(names)) == len(NAMED)
    from dataclasses import replace

    entry = NAMED["aime24"]
    moved = replace(entry, hub=replace(entry.hub, path="someone/else"))
    assert cached_file(entry) != cached_file(moved)


def test_the_paper_measures_small_sets_often_and_large_ones_once():
    assert {name: BENCHMARKS[name].samples for name in PAPER_SETS} == {
        **dict.fromkeys(("aime24", "aime25", "aime26", "hmmt25", "amc"), 32),
        **dict.fromkeys(("math500", "olympiadbench"), 1),
    }
    assert not BENCHMARKS.keys() & TRAINING_SETS.keys()
