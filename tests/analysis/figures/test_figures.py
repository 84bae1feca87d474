"""The figure of margin and temperature, and learning curves: what is drawn is what was measured."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from analysis.figures.data_margin import margin_panels, margin_trials
from analysis.figures.data_training import Curve, bands, differences_to
from analysis.figures.draw_learning import learning_curves
from analysis.figures.draw_margin import margin_multiples, margin_scatter
from analysis.figures.gallery_margin import MOST_PANELS, margin_figure
from analysis.figures.style import style
from analysis.findings.frames import margin_points
from analysis.load.study import StudyResults, load_study
from analysis.statistics.intervals import mean_interval, paired_difference

Make = Callable[..., Path]
NO_BASELINES = pd.DataFrame(columns=["trial", "label", "other", "value"])


@pytest.fixture
def study(full_study: Path) -> StudyResults:
    return load_study(full_study)


@pytest.fixture
def three_seeds(make_study: Make, trial: Any) -> StudyResults:
    """Three margins at one temperature, on seeds that allow an interval."""
    trials = [trial(0.3, ratio, "cosine" if ratio else "off") for ratio in (0.0, 1.0, 5.0, 20.0)]
    return load_study(make_study(trials, seeds=[0, 1, 2]))


def draw(study: StudyResults, points: pd.DataFrame | None = None) -> Figure:
    points = margin_points(study) if points is None else points
    panels = margin_panels(margin_trials(study, points))
    with style():
        return margin_multiples(panels, metric="m", initial=0.18, baselines=NO_BASELINES)


def titles(figure: Figure) -> list[str]:
    return [found for axes in figure.axes if (found := axes.get_title(loc="left"))]


def segments(axes: Axes) -> list[list[float]]:
    """Lower and upper end of each interval drawn."""
    lines = [one for one in axes.collections if isinstance(one, LineCollection)]
    return [sorted(float(y) for _, y in part) for line in lines for part in line.get_segments()]


def test_a_panel_for_each_temperature_has_its_values_of_m_over_tau(study: StudyResults) -> None:
    figure = draw(study)
    assert titles(figure) == [
        rf"({letter}) $\tau={tau}$"
        for letter, tau in zip("abcd", ("0.1", "0.3", "1", "10"), strict=True)
    ]
    for axes in figure.axes[4:]:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == [
            "0",
            "0.001",
            "1",
            "5",
            "20",
        ]
    shown = sorted(float(line.get_ydata()[0]) for line in means(figure.axes[1]))
    ended = margin_points(study).query("tau == 0.3 and state == 'finished'")
    assert shown == pytest.approx(sorted(ended.groupby("trial")["value"].mean()))


def means(axes: Axes) -> list[Any]:
    return [line for line in axes.lines if line.get_marker() in ("o", "s", "^", "D")]


def test_intervals_are_those_of_the_paired_statistics(three_seeds: StudyResults) -> None:
    upper, lower = draw(three_seeds).axes
    rows = {row.id: row for row in three_seeds.table.rows}
    own = [mean_interval(list(row.values.values())) for row in rows.values()]
    paired = [
        paired_difference(row.values, rows["t0000"].values)
        for row in rows.values()
        if row.id != "t0000"
    ]
    assert sorted(segments(upper)) == pytest.approx(
        np.array(sorted([one.low, one.high] for one in own if one))
    )
    expected = sorted(
        [one.interval.low, one.interval.high] for one in paired if one and one.interval
    )
    assert len(expected) == 3 and sorted(segments(lower)) == pytest.approx(np.array(expected))
    drawn = sorted(float(line.get_ydata()[0]) for line in means(lower))
    assert drawn == pytest.approx(sorted(one.mean for one in paired if one))


def test_intervals_over_problems_are_those_of_the_tables(three_seeds: StudyResults) -> None:
    """Stored responses that give the values of the log make the intervals of the tables."""
    from analysis.findings.final_scores import final_scores, score_interval
    from analysis.findings.metric_difference import metric_difference

    study = consistent(three_seeds)
    found = margin_trials(study, margin_points(study)).set_index("trial")
    assert found["over_problems"].all()
    for row in study.table.rows:
        scores = final_scores(study, row)
        interval = score_interval(scores)
        assert interval is not None
        assert found.loc[row.id, ["low", "high"]].tolist() == [interval.low, interval.high]
        if row.id != "t0000":
            first = study.table.row("t0000")
            pair = metric_difference(row.values, first.values, (scores, final_scores(study, first)))
            assert pair is not None and pair.contrast is not None and pair.problems
            ends = found.loc[row.id, ["difference_low", "difference_high"]].tolist()
            assert ends == list(pair.contrast.interval())


def consistent(study: StudyResults) -> StudyResults:
    """The study with the values that its stored responses have."""
    rows = []
    for row in study.table.rows:
        evaluated = study.evaluations_of([row.id], steps=[row.step])
        sampled = evaluated[evaluated["sample"] >= 0]
        right = (sampled["verdict"] == "correct").groupby(sampled["seed"]).mean()
        rows.append(replace(row, values={int(seed): float(v) for seed, v in right.items()}))
    return replace(study, table=replace(study.table, rows=tuple(rows)), derived={})


def test_two_seeds_alone_have_no_interval(make_study: Make, trial: Any) -> None:
    study = load_study(make_study([trial(0.3, 0.0, "off"), trial(0.3, 5.0)]))
    upper, lower = draw(study).axes
    assert segments(upper) == segments(lower) == []
    entry = margin_figure(study)
    assert not isinstance(entry, str) and "too few seeds" in entry.caption


def test_nothing_joins_the_points(study: StudyResults) -> None:
    for axes in draw(study).axes:
        inside = [line for line in axes.lines if line.get_linestyle() not in ("None", "--")]
        assert all(len(set(line.get_ydata())) == 1 for line in inside), "levels alone are lines"
        for line in axes.lines:
            if line.get_marker() not in ("None", "", "x", "_"):
                assert len(line.get_xdata()) == 1


def test_a_difference_needs_a_finished_trial_without_a_margin_at_the_same_settings(
    make_study: Make, trial: Any
) -> None:
    trials = [
        trial(0.1, 0.0, "off", end="pruned"),
        trial(0.1, 5.0),
        trial(0.3, 0.0, "off", params={"rollout.group_size": 4}),
        trial(0.3, 5.0, params={"rollout.group_size": 8}),
        trial(0.3, 1.0, params={"rollout.group_size": 4}),
    ]
    study = load_study(make_study(trials, seeds=[0, 1, 2]))
    found = margin_trials(study, margin_points(study)).set_index("trial")["reference"]
    assert found.to_dict() == {
        **dict.fromkeys(["t0000", "t0001", "t0002", "t0003"], ""),
        "t0004": "t0002",
    }


def test_a_pruned_trial_has_no_height_on_the_axis_of_final_values(study: StudyResults) -> None:
    points = margin_points(study)
    figure = draw(study, points)
    pruned = points[points["state"] == "pruned"].drop_duplicates("trial")
    crosses = [
        (index, float(x), float(y))
        for index, axes in enumerate(figure.axes[:4])
        for line in axes.lines
        if line.get_marker() == "x"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    ratios = sorted(points["ratio"].unique())
    expected = sorted(
        (sorted(points["tau"].unique()).index(tau), float(ratios.index(ratio)))
        for tau, ratio in zip(pruned["tau"], pruned["ratio"], strict=True)
    )
    assert sorted((index, x) for index, x, _ in crosses) == expected
    assert {y for _, _, y in crosses} == {0.03}, "in fractions of the axis"
    values = {row.value for row in study.table.rows if row.state.value == "pruned"}
    heights = [float(y) for axes in figure.axes for line in means(axes) for y in line.get_ydata()]
    assert values and not any(abs(y - value) < 1e-9 for y in heights for value in values)


def explained(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_marks_are_explained_where_there_are_any(study: StudyResults) -> None:
    points = margin_points(study)
    found = explained(draw(study, points))
    assert "pruned: no value after training" in found and "each seed" in found
    assert not any(text.startswith("hollow") for text in found)
    finished = points[points["state"] == "finished"]
    assert "pruned: no value after training" not in explained(draw(study, finished))
    assert "hollow: a seed is missing" in explained(draw(study, finished.assign(complete=False)))


def test_a_study_of_pruned_trials_alone_can_be_drawn(study: StudyResults) -> None:
    points = margin_points(study).query("state == 'pruned'")
    assert explained(draw(study, points))[-2:] == [
        "pruned: no value after training",
        "before training",
    ]


def test_the_axis_ends_around_what_was_measured(make_study: Make, trial: Any) -> None:
    study = load_study(make_study([trial(1.0, 1.0), trial(1.0, 5.0)], seeds=[0, 1, 2]))
    panels = margin_panels(margin_trials(study, margin_points(study)))
    with style():
        figure = margin_multiples(panels, metric="m", initial=0.18, baselines=NO_BASELINES)
    low, high = figure.axes[0].get_ylim()
    assert 0.6 < low < high < 0.95
    assert "before training" not in explained(figure), "far below, it would squeeze the others"


def test_many_temperatures_share_a_panel_and_are_told_by_colour(
    make_study: Make, trial: Any
) -> None:
    count = MOST_PANELS + 1
    trials = [trial(1.0, 1.0, params={"objective.tau": 0.1 * 1.3**n}) for n in range(count)]
    study = load_study(make_study(trials, seeds=[0]))
    entry = margin_figure(study)
    assert not isinstance(entry, str) and "coloured by temperature tau" in entry.caption
    with style():
        figure = entry.draw()
    panel, bar = figure.axes
    assert len(means(panel)) == count and bar.get_ylabel() == r"temperature $\tau$"
    colours = {str(line.get_markerfacecolor()) for line in means(panel)}
    assert len(colours) == count
    assert all(len(line.get_xdata()) == 1 for line in panel.lines if line.get_marker() == "s")


def test_many_ratios_are_labelled_by_decades(study: StudyResults) -> None:
    points = margin_points(study)
    points["ratio"] = [0.05 * 1.25**index for index in range(len(points))]
    with style():
        axes = margin_scatter(points, metric="m", initial=0.18, baselines=NO_BASELINES).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0.1", "1", "10"]


def test_groups_of_other_settings_start_a_row_of_their_own(make_study: Make, trial: Any) -> None:
    trials = [
        trial(tau, ratio, params={"rollout.group_size": size})
        for size in (4, 8)
        for tau in (0.1, 0.3, 1.0)
        for ratio in (1.0, 5.0)
    ]
    figure = draw(load_study(make_study(trials)))
    placed = [axes.get_subplotspec() for axes in figure.axes if axes.get_title(loc="left")]
    assert [(spot.rowspan.start, spot.colspan.start) for spot in placed if spot] == [
        *((0, 0), (0, 1), (0, 2)),
        *((1, 0), (1, 1), (1, 2)),
    ]
    assert titles(figure)[3] == "(d) $\\tau=0.1$\ngroup size 8"


def curves_frame() -> pd.DataFrame:
    rows = [
        (name, seed, step, 0.5 + 0.1 * seed + (0.01 * step if name == "t1" else 0.0))
        for name in ("t0", "t1")
        for seed in (0, 1)
        for step in (0, 10, 20)
    ]
    return pd.DataFrame(rows, columns=["trial", "seed", "step", "value"])


def test_differences_are_of_the_same_seed_and_step() -> None:
    found = differences_to(curves_frame().drop(index=3), "t0")
    assert set(found["trial"]) == {"t1"}
    assert list(zip(found["seed"], found["step"], strict=True)) == [
        *((0, 0), (0, 10), (0, 20)),
        *((1, 10), (1, 20)),
    ]
    assert found["value"].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.1, 0.2])


def test_the_mean_line_stops_where_a_seed_is_missing_and_bands_are_those_of_differences() -> None:
    frame = curves_frame().drop(index=5)
    curves = [Curve("t0", "reference", "reference"), Curve("t1", "best", "best")]
    none = frame.iloc[:0]
    with style():
        figure = learning_curves(
            *(bands(frame), bands(differences_to(frame, "t0")), bands(none), curves),
            metric="m",
            other="r",
            reference="reference",
            note="note",
        )
    metric, difference, training = figure.axes
    assert list(metric.lines[0].get_xdata()) == [0, 10]
    assert list(metric.lines[0].get_ydata()) == pytest.approx([0.55, 0.55])
    zero, reference, best = difference.lines
    assert list(zero.get_ydata()) == [0, 0] and not len(reference.get_xdata())
    assert list(best.get_ydata()) == pytest.approx([0.0, 0.1])
    assert training.texts[0].get_text() == "not recorded"
    assert titles(figure) == ["(a)", "(b) minus reference", "(c)"]
    assert explained(figure)[-1] == "note"


def test_baselines_without_a_margin_are_lines_in_the_panels_of_their_group(
    make_study: Make, trial: Any
) -> None:
    sizes = [
        trial(1.0, ratio, params={"rollout.group_size": n}) for n in (4, 8) for ratio in (1, 5)
    ]
    study = load_study(make_study(sizes))
    rows = [("t9", "GRPO $x$", "group size 4", 0.61), ("t8", "linear", "group size 8", 0.62)]
    baselines = pd.DataFrame(rows, columns=list(NO_BASELINES))
    panels = margin_panels(margin_trials(study, margin_points(study)))
    with style():
        figure = margin_multiples(panels, metric="m", initial=None, baselines=baselines)
        scatter = margin_scatter(
            margin_points(study), metric="m", initial=None, baselines=baselines
        )
    for drawn in (figure.axes, scatter.axes[:2]):
        levels = [[y for line in axes.lines for y in set(line.get_ydata())] for axes in drawn]
        assert 0.61 in levels[0] and 0.62 not in levels[0]
        assert 0.62 in levels[1] and 0.61 not in levels[1]
    assert explained(figure)[-2:] == explained(scatter)[-2:] == [r"GRPO \$x\$", "linear"]
