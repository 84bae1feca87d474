"""Samplers that learn: what Optuna is told, that it learns, and that nothing else matters."""

import itertools
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import optuna
import pytest
from study_fixtures import MARGIN, SCHEDULE, TAU, definition

from conspo_study.definition import Aim, Sampler
from conspo_study.definition.space import Choice, Range, contains
from conspo_study.records import TrialState
from conspo_study.search.samplers import Ended, Past, make_proposer
from conspo_study.search.samplers.optuna_samplers import TPE, GaussianProcess
from conspo_study.search.samplers.sequences import Random
from conspo_study.seeds import derive_seed

ROOT = Path(__file__).resolve().parents[2]
RANGES = {TAU: Range(low=0.1, high=10.0, log=True), MARGIN: Range(low=0.0, high=5.0)}
TWO = (Aim(metric="tokens", direction="min"),)
OUTSIDE = {TAU: 100.0, MARGIN: 0.001, SCHEDULE: "cosine"}


def study(name="tpe", **changes):
    fields = {"sampler": Sampler(name=name, startup_trials=2), "space": RANGES}
    return definition(**{**fields, **changes})


def first(past, name="tpe", **changes):
    return next(make_proposer(study(name, **changes)).candidates(past))


def past_of(values, number=None, running=(), state=TrialState.FINISHED):
    """Trials along the diagonal of the space, with these values."""
    ended = tuple(
        Ended({TAU: 0.1 + i % 10, MARGIN: (i % 11) / 2.2}, state, 4, value)
        for i, value in enumerate(values)
    )
    return Past(len(ended) if number is None else number, ended, tuple(running))


def asked_of(monkeypatch):
    """The trials that Optuna's study holds whenever a sampler is made."""
    seen = []
    create = optuna.create_study

    def recorded(**options):
        found = create(**options)
        seen.append(found)
        return found

    monkeypatch.setattr(optuna, "create_study", recorded)
    return seen


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_the_first_searched_trials_are_random_and_the_same_for_both(name):
    for number in (2, 3):  # after two anchors
        past = past_of([(0.5,)] * number)
        assert first(past, name) == next(Random(study()).candidates(past))
    past = past_of([(0.5,)] * 4)
    assert first(past, name) != next(Random(study()).candidates(past))


@pytest.mark.parametrize("changes", [{}, {"also": TWO}, {"space": definition().space}])
def test_a_proposal_is_a_function_of_the_past(changes):
    values = [(0.1 * i, 50.0 - i) if "also" in changes else (0.1 * i,) for i in range(8)]
    past = past_of(values, number=10, running=[{TAU: 2.0, MARGIN: 1.0}])
    sampler = make_proposer(study(**changes))
    proposals = [next(sampler.candidates(past)) for _ in range(2)]
    assert proposals[0] == proposals[1] == first(past, **changes)
    assert contains(study(**changes).space, proposals[0])


def test_a_proposal_depends_on_results_number_running_trials_and_root_seed():
    past = past_of([(0.1 * i,) for i in range(8)], number=8)
    base = first(past)
    assert first(past_of([(-0.1 * i,) for i in range(8)])) != base
    assert first(past_of([(0.1 * i,) for i in range(8)], number=9)) != base
    assert first(past, root_seed=1) != base
    near = [{TAU: base[TAU], MARGIN: base[MARGIN]}] * 3
    assert first(past_of([(0.1 * i,) for i in range(8)], number=8, running=near)) != base


def test_optuna_hears_of_every_trial_as_what_it_is(monkeypatch):
    seen = asked_of(monkeypatch)
    inside = {TAU: 1.0, MARGIN: 1.0}
    past = Past(
        number=9,
        ended=(
            Ended(inside, TrialState.FINISHED, 20, (0.4,)),
            Ended(OUTSIDE, TrialState.FINISHED, 20, (0.9,)),
            Ended({**inside, TAU: 2.0}, TrialState.PRUNED, 12, (0.2,)),
            Ended({**inside, TAU: 3.0}, TrialState.FAILED, 3, ()),
        ),
        running=({**inside, TAU: 4.0}, OUTSIDE),
    )
    first(past)
    told = seen[0].trials[:-1]
    assert [t.state.name for t in told] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    assert [t.params[TAU] for t in told] == [1.0, 2.0, 3.0, 4.0]
    assert told[0].value == 0.4
    assert told[1].intermediate_values == {12: 0.2}


def test_with_several_objectives_a_stopped_trial_ranks_behind_complete_ones(monkeypatch):
    """Optuna ranks stopped trials by one direction only; given a value it would raise an error."""
    seen = asked_of(monkeypatch)
    stopped = Ended({TAU: 2.0, MARGIN: 1.0}, TrialState.PRUNED, 12, (0.2, 10.0))
    ended = past_of([(0.1 * i, 50.0) for i in range(6)]).ended
    first(Past(9, (*ended, stopped), ()), also=TWO)
    assert seen[0].directions == [
        optuna.study.StudyDirection.MAXIMIZE,
        optuna.study.StudyDirection.MINIMIZE,
    ]
    told = seen[0].trials[6]
    assert (told.state.name, told.intermediate_values, told.values) == ("PRUNED", {}, None)
    good, _ = optuna.samplers._tpe.sampler._split_trials(seen[0], seen[0].trials[:7], 6)
    assert told.number not in [trial.number for trial in good]


def test_a_gaussian_process_learns_from_stopped_trials_which_it_would_ignore(monkeypatch):
    seen = asked_of(monkeypatch)
    ended = (
        *past_of([(0.1 * i,) for i in range(4)]).ended,
        Ended({TAU: 2.0, MARGIN: 1.0}, TrialState.PRUNED, 12, (0.2,)),
        Ended({TAU: 3.0, MARGIN: 1.0}, TrialState.FAILED, 12, ()),
    )
    first(Past(9, ended, ({TAU: 4.0, MARGIN: 1.0},)), "gp")
    assert [t.state.name for t in seen[0].trials[3:-1]] == [
        *("COMPLETE", "COMPLETE", "FAIL", "RUNNING")
    ]
    assert isinstance(seen[0].sampler, optuna.samplers.GPSampler)


def test_with_several_objectives_a_gaussian_process_guesses_no_end_of_a_stopped_trial():
    sampler = GaussianProcess(study("gp", also=TWO))
    params = {TAU: 2.0, MARGIN: 1.0}
    assert sampler._told(Ended(params, TrialState.PRUNED, 12, (0.2, 9.0))).state.name == "FAIL"
    assert sampler._told(Ended(params, TrialState.FINISHED, 20, (0.2, 9.0))).values == [0.2, 9.0]


@pytest.mark.parametrize(("name", "tries"), [("tpe", 8), ("gp", 1)])
def test_proposals_go_where_results_are_good(name, tries):
    points = itertools.islice(Random(study()).candidates(Past(0, (), ())), 30)
    ended = tuple(Ended(p, TrialState.FINISHED, 4, (p[MARGIN],)) for p in points)

    def margin(direction):
        past = Past(30, ended, ())
        found = [first(past, name, root_seed=s, direction=direction) for s in range(tries)]
        return fmean(params[MARGIN] for params in found)

    assert margin("max") > 4.0
    assert margin("min") < 1.0


@pytest.mark.parametrize("proposer", [TPE, GaussianProcess])
def test_a_repeated_proposal_is_told_its_known_result_and_then_left_to_chance(
    proposer, monkeypatch
):
    seen = asked_of(monkeypatch)
    space = {TAU: Choice(values=(0.1, 1.0))}
    ended = tuple(Ended({TAU: t}, TrialState.FINISHED, 4, (t,)) for t in (0.1, 1.0))
    declared = study(space=space)
    found = list(proposer(declared).candidates(Past(6, ended, ())))
    assert len(seen) == 1
    again = [t for t in seen[0].trials if t.state.name == "COMPLETE"]
    assert len(again) == 2 + proposer.attempts
    asked = [t for t in seen[0].trials if t.state.name == "FAIL"]
    proposed = [{TAU: space[TAU].values[t.params[TAU]]} for t in asked]
    assert proposed == found[: proposer.attempts]
    random = list(Random(declared).candidates(Past(6, ended, ())))
    assert found[proposer.attempts :] == random
    assert {t[TAU] for t in itertools.islice(random, 100)} == {0.1, 1.0}


def test_every_proposal_has_a_seed_of_its_own():
    seeds = {derive_seed(0, "sampler", n, attempt) for n in range(50) for attempt in range(10)}
    assert len(seeds) == 500


@pytest.mark.slow
def test_proposals_do_not_depend_on_how_python_hashes_text():
    code = (
        "import sys; sys.path[:0] = ['tests/support', 'tests/search']\n"
        "from test_optuna_samplers import *\n"
        "past = Past(9, tuple(Ended(p, TrialState.FINISHED, 4, (len(str(p)) / 50,)) for p in "
        "itertools.islice(Random(study(space=definition().space)).candidates(Past(0, (), ())), 9)"
        "), ())\n"
        "print([first(past, space=definition().space, root_seed=s) for s in range(4)])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert "objective.schedule" in found.pop()
