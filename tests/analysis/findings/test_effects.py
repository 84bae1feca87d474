"""The differences that a study is about: those of its confirmation, or those that it declares."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.figures.gallery_effects import effects, effects_frame
from analysis.figures.style import style
from analysis.findings.confirmation import confirmation_of
from analysis.findings.effects import effects_of
from analysis.load.study import load_study

Make = Callable[..., Path]
CONFIRM = {"seeds": [10, 11, 12], "anchors": None, "overrides": {"evaluation.split": "test"}}


@pytest.fixture
def study(make_study: Make, trial: Any, define: Any) -> Path:
    trials = [
        trial(10.0, 0.001, label="paper"),
        trial(0.3, 0.0, schedule="off", label="no margin"),
        trial(1.0, 20.0),
    ]
    folder = make_study(trials, seeds=[0, 1, 2])
    define(folder, confirm=CONFIRM)
    return folder


def confirmed(study: Path, confirm: Any) -> Path:
    for trial, values in (
        ("t0000", (0.60, 0.64, 0.65)),
        ("t0001", (0.70, 0.72, 0.76)),
        ("t0002", (0.71, 0.74, 0.75)),
    ):
        confirm(study, trial, dict(zip((10, 11, 12), values, strict=True)))
    return study


def test_confirmed_differences_are_the_winners_with_their_own_intervals(
    study: Path, confirm: Any
) -> None:
    loaded = load_study(confirmed(study, confirm))
    found = effects_of(loaded)
    confirmation = confirmation_of(loaded)
    assert found is not None and found.confirmed and confirmation is not None
    assert found.subject.startswith("t0002 (tau 1")
    assert found.subject.endswith(" minus each baseline")
    assert [one.name for one in found.found] == ["t0000 (paper)", "t0001 (no margin)"]
    frame = effects_frame(found, 100)
    for row, one in zip(frame.to_dict("records"), found.found, strict=True):
        difference, contrast = one.judged.difference, one.judged.tested.contrast
        assert difference is not None and contrast is not None
        assert row["value"] == pytest.approx(100 * difference.value)
        assert [row["low"], row["high"]] == pytest.approx([100 * x for x in contrast.interval()])
        assert row["low"] <= row["value"] <= row["high"]
    assert frame["value"].tolist() == pytest.approx([31 / 3, 2 / 3])


def test_without_a_confirmation_the_declared_comparisons_are_shown(
    study: Path, define: Any
) -> None:
    define(study, confirm=None, compare={"reference": "paper", "against": None})
    found = effects_of(load_study(study))
    assert found is not None and not found.confirmed
    assert found.subject == "each setting minus paper"
    assert [(one.name, one.trials) for one in found.found] == [("no margin", ("t0001", "t0000"))]


def test_the_figure_names_what_is_subtracted_and_is_absent_without_intervals(
    study: Path, confirm: Any, make_study: Make, trial: Any
) -> None:
    entry = effects(load_study(confirmed(study, confirm)))
    assert not isinstance(entry, str) and entry.trials == ("c0002", "c0000", "c0001")
    assert "minus each baseline, paired on the fresh seeds" in entry.caption
    with style():
        figure = entry.draw()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["paper", "no margin"]
    assert "(points)" in figure.axes[0].get_xlabel()


def test_nothing_is_shown_of_a_single_trial(make_study: Make, trial: Any) -> None:
    entry = effects(load_study(make_study([trial(1.0, 5.0)])))
    assert entry == "No figure of effects: nothing that is compared has an interval yet."
