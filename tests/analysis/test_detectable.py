"""What could have been detected is the plan's arithmetic, on the noise that was measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.detectable import detectable, detectable_lines, noise, power
from analysis.load import load_study
from conspo_study.power import detectable_effect
from conspo_study.power import power as planned_power
from conspo_study.spread import pooled_spread

Make = Callable[..., Path]


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 30])
def test_it_is_the_power_that_the_plan_speaks_of(seeds: int) -> None:
    assert detectable(seeds) == pytest.approx(detectable_effect(1.0, seeds), rel=1e-6)
    assert power(0.7, seeds) == pytest.approx(planned_power(0.7, 1.0, seeds), rel=1e-6)


def test_one_seed_shows_nothing() -> None:
    assert detectable(1) is None and power(1.0, 1) is None


def test_noise_is_the_spread_that_the_plan_measures(full_study: Path) -> None:
    study = load_study(full_study)
    rows = [row for row in study.table.rows if row.state == "finished"]
    expected = pooled_spread([[row.values[seed] for seed in (0, 1)] for row in rows])
    found = noise(study.table.rows)
    assert expected is not None and found is not None
    assert found.sd == pytest.approx(expected.sd) and (found.trials, found.seeds) == (13, 2)


def test_no_difference_is_said_with_what_could_have_been_found(
    make_study: Make, trial: Any
) -> None:
    trials = [trial(0.3, 0.0, schedule="off"), trial(0.3, 20.0), trial(0.3, 1.0)]
    (line,) = detectable_lines(load_study(make_study(trials, seeds=[0, 1, 2])))
    assert "could have detected one of 0.0" in line and "from 3 trials x 3 seeds" in line
    assert line.startswith(("No difference detected between", "A difference was detected"))


@pytest.mark.parametrize(
    ("ends", "seeds", "says"),
    [
        (["failed", "failed"], [0, 1], ""),
        (["finished", "pruned"], [0, 1, 2], ""),
        (["finished", "finished"], [0], "one seed cannot show a difference of any size"),
    ],
)
def test_without_the_numbers_there_is_no_sentence_or_a_plain_one(
    make_study: Make, trial: Any, ends: list[str], seeds: list[int], says: str
) -> None:
    trials = [trial(0.3, 0.0, schedule="off", end=ends[1]), trial(0.3, 20.0, end=ends[0])]
    lines = detectable_lines(load_study(make_study(trials, seeds=seeds)))
    assert says in " ".join(lines) and bool(lines) == bool(says)


def test_values_that_do_not_vary_leave_the_size_open(
    make_study: Make, trial: Any, confirm: Any
) -> None:
    study = make_study([trial(10.0, 0.001, label="paper"), trial(1.0, 20.0)])
    flat = dict.fromkeys((10, 11, 12), 0.5)
    confirm(study, "t0000", flat)
    confirm(study, "t0001", flat)
    (line,) = detectable_lines(load_study(study))
    assert "3.3 standard deviations, whose size is not known: the values do not vary" in line
