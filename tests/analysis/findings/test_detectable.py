"""The detectable difference is the plan's arithmetic on the measured noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.findings.detectable import detectable_lines
from analysis.load.study import load_study

Make = Callable[..., Path]


def test_no_difference_is_said_with_what_could_have_been_found(
    make_study: Make, trial: Any
) -> None:
    trials = [trial(0.3, 0.0, schedule="off"), trial(0.3, 20.0), trial(0.3, 1.0)]
    (line,) = detectable_lines(load_study(make_study(trials, seeds=[0, 1, 2])))
    assert (
        "could have detected a difference of 0.0" in line and "3 finished trials x 3 seeds" in line
    )
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
    assert "but the standard deviation is unknown: the values do not vary" in line
