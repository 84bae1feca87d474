"""The harness of the benchmarks, and every script in miniature."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
ANSWERS = ROOT / "tests" / "assets" / "answers_of_many_kinds.jsonl"
LIMIT_S = 1800
SHARED = {"harness", "ill_parts", "reward_attacks", "study_runs", "step_job", "trl_grpo"}
"""Modules that scripts import or start."""
LEFT_OUT = {
    "check": "has tests of its own",
    "data_parallel": "trains for minutes through Ray",
    "doctor": "trains for minutes through Ray",
    "engines": "needs vLLM",
    "full_step": "has tests of its own",
    "matmul_floor": "has tests of its own",
    "memory_estimate": "updates models of hundreds of megabytes, and needs them whole",
    "sampler": "has tests of its own",
    "scoring": "has tests of its own",
    "searches": "has tests of its own",
    "trial_overhead": "runs two studies through Ray",
}
"""Script to the reason it is not run here."""


def spread(value):
    """True for a spread: a median between quartiles."""
    return value["low"] <= value["median"] <= value["high"] and value["runs"] >= 1


def check_import_times(result):
    assert spread(result["commands"]["import conspo_study"]["seconds"])
    bare = result["commands"]["python -c pass"]
    assert bare["over"]["median"] == 0
    swept = result["commands"]["studies/margin_sweep.py --help"]
    assert swept["seconds"]["median"] > bare["seconds"]["median"] > 0


def check_objectives(result):
    from conspo_study.config.objectives import OPTIONS

    assert set(result["objectives"]) == set(OPTIONS)
    assert "grpo_identity_gap" in result["diagnostics"]
    for row in [*result["objectives"].values(), *result["diagnostics"].values()]:
        assert row["per_rollout"].keys() == {"32", "64"}
        assert all(spread(time) and time["median"] > 0 for time in row["per_rollout"].values())
        assert spread(row["growth"])


def check_verifier(result):
    for workload, rollouts in (("plain", 60), ("5 % mathematics", 60), ("5 % hostile", 20)):
        measured = result[workload]
        assert measured["rollouts"] == rollouts == sum(measured["verdicts"].values())
        assert measured["agreement"] == 1.0
        assert measured["verdicts"]["correct"] > 0
        assert all(map(spread, measured["rollouts_per_s"].values()))
    assert result["hostile_kinds"].keys() == {"megabyte of braces"}
    assert result["hostile_kinds"]["megabyte of braces"]["verdict"] == "no_answer"


def check_reward_integrity(result):
    measured = result["answers_of_many_kinds"]["ours"]
    assert measured["rewrites"]["graded"] > 150
    assert all(measured[kind]["graded"] > 4 for kind in ("mutations", "echoes", "exploits"))
    for kind in measured.values():
        assert kind["mistakes"] == 0, kind["examples"]


def check_analysis_scale(result):
    (size,) = result["sizes"]
    assert size["trials"] == 6
    assert size["log_mb"] > 0 and size["appended_per_s"]["median"] > 0
    assert {"log: open", "load", "report"} <= size["seconds"].keys()
    assert all(map(spread, size["seconds"].values()))
    assert result["growth"] == []


def check_gpu_check(result):
    """All that a CPU can rehearse, without Ray and vLLM."""
    from gpu_check import NEED_A_GPU, STAGES

    assert result["rehearsed"] and result["passes"], result
    assert result["stages"].keys() == STAGES.keys() - set(NEED_A_GPU)
    numbers = {name: stage["numbers"] for name, stage in result["stages"].items()}
    for one, other in zip(*(numbers["trainer_float32"][on] for on in ("cpu", "gpu")), strict=True):
        assert one["loss"] == other["loss"]
    assert numbers["trainer_bfloat16"]["plain"][0]["mismatch_abs"] > 0
    assert numbers["clock"]["blocking 0"]["time/backward_s"] > 0
    assert numbers["step_1_5b"]["1 x 128"]["estimated_gib"] > 0
    assert numbers["fsdp_one"]["dtypes"] == ["bfloat16"]
    assert numbers["sampling"]["135m"]["tokens_per_s"] > 0


def check_watch_page(result):
    assert result["trials"] == 3
    assert result["first_view_s"] > 0 and result["poll_median_s"] > 0


def check_wrong_conspo(result):
    assert result["taus"].keys() == {"10", "0.1"}
    for ways in result["taus"].values():
        errors = {name: row["error"]["median"] for name, row in ways.items()}
        right = "credits before the update"
        assert errors.pop(right) < 1e-12 and ways[right]["cosine"]["median"] > 1 - 1e-12
        assert min(errors.values()) > 1e-5, "a wrong way is right"
        assert all(error > 0.1 for name, error in errors.items() if "micro-batch" in name)


def check_racing(result):
    assert result["worst"].keys() == result["power"].keys()
    for found in result["worst"].values():
        assert found["threshold"] > 0.15 > 0.09 > found["used"]
    assert result["power"]["5 seeds, 11 rivals"]["0.1"]["used"] > 0.95


def check_study_statistics(result):
    from study_statistics import TABLES

    assert set(TABLES) <= result.keys() and 0.02 < result["paired sd"] < 0.05
    power = result["power and false findings of ten methods"]
    promised = power["plan promises, 5 seeds"]
    assert promised["one t-test (before)"] < promised["Dunnett"] < promised["Holm"]
    (nothing,) = (cells for row, cells in power.items() if row.startswith("3 seeds, equal"))
    assert {name: list(told) for name, told in nothing.items()} == {
        "each at 5 %, uncorrected": ["finds what is not there"],
        "each at 5 % / 55, as one of every pair and the base (before)": [],
        "reference, Holm (now)": ["finds what is not there"],
        "reference, Dunnett (now)": ["finds what is not there"],
    }
    selected = result["'detected' without a confirmation"]
    assert all(list(cells) == ["before"] for cells in selected.values()), "measured alone"
    called = result["true power at what is called detectable"]
    for row in called.values():
        assert row["now"]["power below 0.5"] < 0.05 < row["own error alone"]["power below 0.5"]
    assert set(result["differences that do not vary"]) == {
        "8 answers, 2 seeds",
        "8 answers, 3 seeds",
    }


def check_compute_curves(result):
    covered = result["coverage of 95 % intervals"]
    assert len(covered) == 6 and all(0 <= row["claimed"] <= 1 for row in covered.values())
    claims = result["what is claimed"]
    assert claims["rises to 0.6, falls to 0.5"] == {"decline": 1.0}
    assert "claimed" not in claims["flat"] and claims["saturates"]["claimed"] > 0
    assert set(result["verdicts"]["C_mid halved"]) <= {"efficiency", "both", "undecided"} | {
        "not claimed: undecided"
    }


MINIATURES = {
    "analysis_scale": (("--trials", "6", "--rows", "300"), check_analysis_scale),
    "compute_curves": (("--runs", "2"), check_compute_curves),
    "gpu_check": (("--rehearse",), check_gpu_check),
    "import_times": (("--runs", "1"), check_import_times),
    "objectives": (
        ("--runs", "2", "--sizes", "32", "64", "--at-least", "64"),
        check_objectives,
    ),
    "racing": (("--runs", "60"), check_racing),
    "reward_integrity": (
        (str(ANSWERS), "--mutations", "60", "--alone"),
        check_reward_integrity,
    ),
    "study_statistics": (("--runs", "1"), check_study_statistics),
    "verifier": (
        ("--runs", "1", "--rollouts", "60", "--kinds", "megabyte of braces"),
        check_verifier,
    ),
    "watch_page": (("--trials", "3", "--steps", "20"), check_watch_page),
    "wrong_conspo": (("--runs", "2"), check_wrong_conspo),
}
"""Script to its arguments for a run of seconds, and the check of its numbers."""


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("harness")
    sys.modules.pop("harness", None)


def test_every_script_is_run_in_miniature_or_left_out_for_a_reason():
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")}
    assert scripts == MINIATURES.keys() | LEFT_OUT.keys() | SHARED


def test_a_spread_is_the_median_and_the_quartiles(harness):
    found = harness.Spread.of([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (found.low, found.median, found.high, found.runs) == (2.0, 3.0, 4.0, 5)
    assert found.text(scale=10, digits=1) == "30.0 [20.0, 40.0]"
    assert harness.Spread.of([1.0, 2.0]).median == 1.5
    alone = harness.Spread.of([7.0])
    assert (alone.low, alone.median, alone.high, alone.runs) == (7.0, 7.0, 7.0, 1)


def test_ways_take_turns_in_an_order_that_alternates_and_warm_ups_are_not_kept(harness):
    calls = []

    def way(name):
        return lambda run: calls.append((name, run)) or 10.0 * run + len(name)

    found = harness.in_turn({"a": way("a"), "bb": way("bb")}, runs=2, warm_up=1)
    assert calls == [("bb", -1), ("a", -1), ("a", 0), ("bb", 0), ("bb", 1), ("a", 1)]
    assert found == {"a": [1.0, 11.0], "bb": [2.0, 12.0]}


def test_a_ratio_is_taken_within_each_run(harness):
    # The machine became ten times slower after the first run: the ratio of medians would be 11.
    found = harness.ratio([2.0, 22.0, 20.0], [1.0, 10.0, 10.0])
    assert (found.low, found.median, found.high) == (2.0, 2.0, 2.1)
    with pytest.raises(ValueError):
        harness.ratio([1.0], [1.0, 2.0])


def test_numbers_are_written_with_what_they_were_taken_on(harness, tmp_path):
    path = tmp_path / "result.json"
    harness.write(path, {"ratio": harness.Spread.of([1.0, 3.0])})
    written = json.loads(path.read_text())
    assert written["ratio"] == {"median": 2.0, "low": 1.5, "high": 2.5, "runs": 2}
    assert written["machine"]["cores"] >= 1 and written["machine"]["torch"]
    harness.write(None, {})


@pytest.mark.slow
@pytest.mark.parametrize("script", MINIATURES)
def test_a_script_runs_in_miniature_and_leaves_its_numbers(script, tmp_path):
    if script == "data_parallel" and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two workers need two CPU cores")
    arguments, check = MINIATURES[script]
    path = tmp_path / "result.json"
    names = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment = {
        **names,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "CONSPO_STUDY_CACHE": str(tmp_path / "cache"),
    }
    run = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), *arguments, "--json", str(path)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    assert run.stdout.strip(), "it prints a table"
    check(json.loads(path.read_text()))
