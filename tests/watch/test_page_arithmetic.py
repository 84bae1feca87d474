"""Arithmetic of the page: values as text, axes, filters, CSV, smoothing, groups."""

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "conspo_study/watch/page"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node is installed")


@pytest.fixture
def computed(tmp_path):
    """Runs a script beside the page's own; returns the JSON that it prints."""

    def run(script):
        shutil.copytree(PAGE, tmp_path / "page")
        (tmp_path / "page" / "package.json").write_text('{"type": "module"}')
        browser = "globalThis.window = { matchMedia: () => ({ matches: false }) };\n"
        (tmp_path / "page" / "it.js").write_text(browser + script)
        done = subprocess.run(
            [NODE, "it.js"],
            cwd=tmp_path / "page",
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        return json.loads(done.stdout)

    return run


def test_values_of_settings_are_told_apart_and_ordered(computed):
    told = computed(
        """
        const { plain, firstLine } = await import("./format.js");
        const { order } = await import("./colours.js");
        const { settingAxis } = await import("./scales.js");
        const values = ["b", 2, "2", null, true, "true", ["a", 1], undefined, 0.5, "a", "", "null"];
        const axis = settingAxis(values);
        console.log(JSON.stringify({
          shown: [...values].sort(order).map(plain),
          places: values.map(axis.place),
          marks: axis.marks.map(([, text]) => text),
          causes: ["\\n1 problem:\\n  - it\\n  - more", "a\\nb", "", "all:"].map(firstLine),
        }));
        """
    )
    shown = ["null", "0.5", "2", "", '"2"', "a", "b", '"null"', '"true"', '["a",1]', "true"]
    assert told["shown"] == [*shown, "–"], "what is absent is last to JavaScript's own sort"
    assert told["marks"] == shown
    assert told["places"].count(None) == 1 and len(set(told["places"])) == len(told["places"])
    assert told["causes"] == ["1 problem: it", "a", "", "all:"]


TRIALS = [
    {"id": "t0", "label": "GRPO, lr x1", "state": "finished", "role": "search", "of": "",
     "step": 40, "reward": 0.5, "value": 0.75, "config_hash": "ab",
     "params": {"objective.name": "grpo", "update.learning_rate": 1e-4, "rollout.x": None}},
    {"id": "t1", "label": "", "state": "pruned", "role": "search", "of": "", "step": 20,
     "reward": None, "value": None, "config_hash": "cd",
     "params": {"objective.name": "conspo", "objective.tau": 0.1, "update.learning_rate": 3e-4}},
    {"id": "c0", "label": "", "state": "running", "role": "confirmation", "of": "t1", "step": 0,
     "reward": 0, "value": 0.2, "config_hash": "cd",
     "params": {"objective.name": "conspo", "objective.tau": 10, "own.name": "a b"}},
]  # fmt: skip


def test_a_filter_takes_settings_numbers_states_words_and_expressions(computed):
    wanted = {
        "": ["t0", "t1", "c0"],
        "tau=0.1": ["t1"],
        "tau=.1": ["t1"],
        "tau>=0.1": ["t1", "c0"],
        "tau!=0.1": ["t0", "c0"],
        "objective.tau>1": ["c0"],
        "learning_rate<2e-4 state:finished": ["t0"],
        "learning_rate>2e-4 state:finished": [],
        "value>0.1": ["t0", "c0"],
        "x=null": ["t0"],
        "role:confirmation": ["c0"],
        "GRPO": ["t0"],
        "confirms": ["c0"],
        "tau": ["t1", "c0"],
        "name~^con": ["t1", "c0"],
        "~lr.x1$|c0": ["c0"],
        '~"lr x1"': ["t0"],
        'name="a b"': ["c0"],
        "id=t1": ["t1"],
        "constructor=1": [],
        "nothing!=1": ["t0", "t1", "c0"],
    }
    refused = {"tau>high": "no number", "~(": "no regular expression", "name~[": "no regular"}
    told = computed(
        f"""
        const {{ filter }} = await import("./filter.js");
        const trials = {json.dumps(TRIALS)};
        const worth = (trial) => trial.value;
        const kept = (text) => trials.filter(filter(text, worth)).map(({{ id }}) => id);
        const refusal = (text) => {{
          try {{ filter(text, worth); }} catch (error) {{ return error.message; }}
        }};
        console.log(JSON.stringify({{
          kept: {json.dumps(list(wanted))}.map(kept),
          refused: {json.dumps(list(refused))}.map(refusal),
        }}));
        """
    )
    assert dict(zip(wanted, told["kept"], strict=True)) == wanted
    for message, part in zip(told["refused"], refused.values(), strict=True):
        assert part in message


def test_csv_is_read_back_as_it_was_and_holds_no_formula(computed):
    rows = [
        ["a", 'b"c'],
        ["x,y", "line\nbreak"],
        [1.5, None],
        ["=1+1", "-2"],
        [True, [1]],
        [-3, ""],
    ]
    text = computed(
        f"""
        const {{ csv }} = await import("./download.js");
        console.log(JSON.stringify(csv({json.dumps(rows)})));
        """
    )
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[:3] == [["a", 'b"c'], ["x,y", "line\nbreak"], ["1.5", ""]]
    assert read[3] == ["'=1+1", "'-2"] and read[4:] == [["true", "[1]"], ["-3", ""]]


def test_smoothing_is_an_exponential_mean_of_the_values_so_far(computed):
    values = [1.0, 3.0, None, 2.0, 8.0]
    told = computed(
        f"""
        const {{ smoothed }} = await import("./chart.js");
        const some = smoothed({json.dumps(values)}, 0.5);
        console.log(JSON.stringify([some, smoothed([4, 4], 0.9), smoothed([1, 2], 0)]));
        """
    )
    known, expected = [], []
    for value in values:
        if value is None:
            expected.append(None)
            continue
        known.append(value)
        weights = [0.5 ** (len(known) - i) for i in range(len(known))]
        mean = sum(w * v for w, v in zip(weights, known, strict=True)) / sum(weights)
        expected.append(pytest.approx(mean))
    assert told[0] == expected
    assert told[1:] == [[pytest.approx(4), pytest.approx(4)], [1, 2]]


def test_groups_are_means_over_what_was_measured_at_each_step(computed):
    told = computed(
        """
        const { together } = await import("./groups.js");
        console.log(JSON.stringify(together([
          { steps: [0, 10, 20], values: [1, null, 3] },
          { steps: [0, 20, 40], values: [3, 5, 7] },
        ])));
        """
    )
    assert told == {
        "steps": [0, 10, 20, 40],
        "values": [2, None, 4, 7],
        "band": [[1, None, 3, 7], [3, None, 5, 7]],
    }


def test_metrics_stand_under_the_stage_that_they_tell_of(computed):
    told = computed(
        """
        const { byStage } = await import("./metrics.js");
        const names = ["eval/a", "eval/b", "reward", "own", "time/x_s"];
        console.log(JSON.stringify(byStage(["eval/a"], names)));
        """
    )
    assert told == [
        "eval/a",
        {"group": "evaluation", "options": ["eval/b"]},
        {"group": "time and memory", "options": ["time/x_s"]},
        {"group": "rewards and groups", "options": ["reward"]},
        {"group": "other", "options": ["own"]},
    ]
