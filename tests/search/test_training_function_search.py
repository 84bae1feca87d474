"""The search of a study of a training function: free names, and races at the reported steps."""

import pytest
from study_fixtures import MemoryLog

from conspo_study.definition import Anchor, Choice, Confirmation, Range, Sampler
from conspo_study.records import EventKind
from conspo_study.search import Search
from conspo_study.search.racing import MOST_LOOKS
from conspo_study.study import Study

SEEDS = (1, 2, 3)


def study(**changes):
    fields = {
        "name": "own",
        "train": "some_module:train",
        "steps": 100,
        "params": {"split": "dev"},
        "space": {"lr": Range(low=1e-5, high=1e-3, log=True), "tau": Choice(values=(0.5, 1.0))},
        "anchors": tuple(Anchor(label=f"a{i}", params={"lr": i, "tau": 1.0}) for i in (1, 2)),
        "trials": 8,
        "seeds": SEEDS,
        "metric": "accuracy",
        "lag": 0,
        "confirm": Confirmation(seeds=(10, 11), overrides={"split": "test"}),
    }
    return Study(**(fields | changes))


def run(search, suggestion, level, steps):
    """Report at these steps, a little differently for each seed, and finish."""
    search.started(suggestion.trial)
    for step in steps:
        noise = {seed: step * seed * round(10 * level) % 103 for seed in suggestion.seeds}
        seeds = {str(s): {"accuracy": level + 0.01 * s + 1e-4 * x} for s, x in noise.items()}
        seeds = seeds if step % 2 == 0 else {seed: {"loss": 1.0} for seed in seeds}
        search.reported(suggestion.trial, {"step": step, "steps": 100, "seeds": seeds})
    values = {str(seed): level for seed in suggestion.seeds}
    ended = {"step": 100, "value": level, "values": values}
    search.ended(suggestion.trial, EventKind.FINISHED, ended)


def test_thresholds_are_set_at_the_steps_that_others_have_measured():
    search = Search(study(), MemoryLog())
    for level in (0.5, 0.6):
        run(search, search.suggest(), level, (20, 40, 51, 60, 80, 100))
    third = search.suggest()
    # Not before half of the steps, not where the metric was not reported, not at the end.
    assert list(third.bars) == [60, 80]
    assert all(0.5 < bar.threshold < 0.63 for bar in third.bars.values())


def test_a_function_that_measures_at_every_step_is_raced_at_some():
    search = Search(study(), MemoryLog())
    for level in (0.5, 0.6):
        run(search, search.suggest(), level, range(2, 101, 2))
    bars = search.suggest().bars
    assert list(bars) == list(range(50, 100, 4)) and len(bars) <= MOST_LOOKS


@pytest.mark.parametrize("name", ["tpe", "gp", "qmc", "random"])
def test_the_next_trial_is_a_function_of_definition_and_log(name):
    declared = study(sampler=Sampler(name=name, startup_trials=1))
    logs = MemoryLog(), MemoryLog()
    searches = [Search(declared, log) for log in logs]
    seen = []
    for _ in range(10):
        suggestions = [search.suggest() for search in searches]
        assert suggestions[0] == suggestions[1]
        seen.append(suggestions[0])
        for search in searches:
            run(search, suggestions[0], 0.3 + suggestions[0].config.params["tau"] / 10, (60, 100))
        searches[1] = Search(declared, logs[1])  # begun anew from the log
    searched = [s for s in seen if not s.label and not s.of]
    assert len({(s.params["lr"], s.params["tau"]) for s in searched}) == len(searched) == 6
    assert all(s.config.params["split"] == "dev" for s in searched)
    again = [s for s in seen if s.of]
    assert [s.config.params["split"] for s in again] == ["test"] * len(again)
    assert all(s.seeds == (10, 11) for s in again) and len(again) >= 2
