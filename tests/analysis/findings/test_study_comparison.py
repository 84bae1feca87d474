"""Two studies are compared where that means something, and refused where it does not."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from scipy.stats import ttest_1samp

from analysis.findings.matching import definition_differences, matched
from analysis.findings.pooled_comparison import pooled
from analysis.findings.study_comparison import (
    NotComparable,
    compare,
    comparison_lines,
    comparison_table,
)
from analysis.load.study import load_study
from conspo_study.commands.command_line import main

Make = Callable[..., Path]
DATA = {"chain/hard": "d47a"}


@pytest.fixture
def pair(make_study: Make, trial: Any, tmp_path: Path) -> Callable[..., Any]:
    def make(first: Any, second: Any, one: Any = None, other: Any = None) -> Any:
        folders = []
        for name, trials, options in (("a", first, one), ("b", second, other)):
            options = {"problems": 12, "seeds": [0, 1, 2], **(options or {})}
            fields = {"data": DATA, **options.pop("fields", {})}
            made = make_study(trials, name=name, **options)
            path = made / "study.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
            folders.append(Path(shutil.move(made, tmp_path / name)))
        return [as_answered(load_study(folder)) for folder in folders]

    return make


def as_answered(study: Any) -> Any:
    """The study with the values that its responses give, as a real one has logged."""
    rows = []
    for row in study.table.rows:
        found = study.evaluations_of([row.id], None, [row.step])
        sampled = found[found["sample"] >= 0]
        means = (sampled["verdict"] == "correct").groupby(sampled["seed"]).mean()
        rows.append(replace(row, values={int(s): float(v) for s, v in means.items()}))
    return replace(study, table=replace(study.table, rows=tuple(rows)))


def unhashed(study: Any) -> Any:
    """The fixture gives all trials the same configuration hash; here they have none."""
    rows = tuple(replace(row, config_hash="") for row in study.table.rows)
    return replace(study, table=replace(study.table, rows=rows))


def test_trials_are_matched_once_by_configuration_then_by_label(pair: Any, trial: Any) -> None:
    first, second = pair(
        [trial(1.0, 1.0, label="x"), trial(1.0, 5.0, label="y")], [trial(1.0, 5.0, label="y")]
    )
    # The fixture gives all trials the same configuration hash.
    found = matched(first, second)
    assert [(m.a.id, m.b.id, m.by) for m in found] == [("t0000", "t0000", "configuration")]


def test_a_study_compared_with_itself_shows_no_difference(pair: Any, trial: Any) -> None:
    first, second = pair([trial(1.0, 1.0)], [trial(1.0, 1.0)])
    comparison = compare(first, second)
    lines = comparison_lines(comparison)
    assert "Definitions, sources and packages are the same." in lines
    assert any("equal on 3 shared seeds" in line for line in lines)


def test_a_difference_has_an_interval_and_its_seeds_and_problems(pair: Any, trial: Any) -> None:
    first, second = pair([trial(0.1, 0.0, schedule="off")], [trial(1.0, 20.0)])
    comparison = compare(first, second)
    (one,) = comparison.differences
    found = one.difference
    assert found is not None and found.problems == 12 and len(found.by_seed) == 3
    assert found.contrast is not None and one.adjusted == found.contrast.p_value
    assert fmean(found.by_seed.values()) == pytest.approx(found.value) == pytest.approx(11 / 24)
    line = next(line for line in comparison_lines(comparison) if "minus t0000" in line)
    assert "3 shared seeds and 12 problems, 95 % CI [" in line
    table = comparison_table(comparison)
    assert len(table.titles) == len(table.rows[0])


def test_studies_that_differ_in_one_setting_are_compared_in_one_test(pair: Any, trial: Any) -> None:
    """Four trials of three seeds: the mean over trials, seed by seed and problem by problem."""
    points = [trial(1.0, ratio, label=f"M {ratio}") for ratio in (0.0, 1.0, 5.0, 20.0)]
    worse = [trial(0.1, 0.0, label=point.label) for point in points]
    comparison = compare(*map(unhashed, pair(worse, points)))
    found = comparison.together
    assert (found.trials, found.seeds, found.problems) == (4, 3, 12)
    single = [one.difference for one in comparison.differences]
    assert found.value == pytest.approx(sum(one.value for one in single) / 4)
    assert found.contrast.error < min(one.contrast.error for one in single)
    (line,) = (line for line in comparison_lines(comparison) if line.startswith("All 4 matching"))
    assert "on 3 shared seeds and 12 problems, 95 % CI [+0." in line and line.endswith(
        "B is better."
    )


def test_a_seed_is_one_observation_where_no_responses_are_stored() -> None:
    by_seed = [{0: 0.01, 1: 0.03, 2: 0.02, 3: 0.9}, {0: 0.02, 1: 0.02, 2: 0.03}]
    found = pooled(by_seed, [(None, None)] * 2)
    expected = ttest_1samp([0.015, 0.025, 0.025], 0)
    assert found.contrast.p_value == pytest.approx(expected.pvalue) and found.seeds == 3
    assert found.value == pytest.approx(0.065 / 3)
    assert pooled(by_seed[:1], [(None, None)]) is None
    assert pooled([{0: 0.1}, {1: 0.1}], [(None, None)] * 2) is None
    one_seed = pooled([{0: 0.1}, {0: 0.12}], [(None, None)] * 2)
    assert one_seed.contrast is None and one_seed.reason == "a single seed"
    flat = pooled([{0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}], [(None, None)] * 2)
    assert flat.contrast is None and flat.reason == "the values do not vary between seeds"


def test_trials_that_share_a_seeds_luck_do_not_count_several_times() -> None:
    """Nothing is true, and every seed moves all trials alike: 5 % are found, not 40 %."""
    rng = random.Random(0)
    found = 0
    for _ in range(400):
        luck = [rng.gauss(0, 0.02) for _ in range(3)]
        trials = [{s: luck[s] + rng.gauss(0, 0.01) for s in range(3)} for _ in range(8)]
        test = pooled(trials, [(None, None)] * 8)
        found += test.contrast.p_value < 0.05
    assert 0.02 < found / 400 < 0.09


def without_responses(study: Any) -> Any:
    for path in study.folder.rglob("eval*.parquet"):
        path.unlink()
    return load_study(study.folder)


def valued(study: Any, values: dict[int, float]) -> Any:
    """The study with these values by seed, of all trials."""
    rows = tuple(replace(row, values=values) for row in study.table.rows)
    return replace(study, table=replace(study.table, rows=rows))


def test_without_responses_differences_are_students_over_seeds(pair: Any, trial: Any) -> None:
    first, second = map(
        without_responses, pair([trial(0.1, 0.0, schedule="off")], [trial(1.0, 20.0)])
    )
    comparison = compare(first, valued(second, {0: 0.7, 1: 0.8, 2: 0.75}))
    (one,) = comparison.differences
    assert one.difference is not None and one.difference.problems == 0
    expected = ttest_1samp(list(one.difference.by_seed.values()), 0).pvalue
    assert one.adjusted == pytest.approx(expected)
    line = next(line for line in comparison_lines(comparison) if "minus t0000" in line)
    assert "on 3 shared seeds, 95 % CI [+0." in line and line.endswith("B is better.")


def test_four_trials_of_one_seed_claim_nothing(pair: Any, trial: Any) -> None:
    points = [trial(1.0, ratio, label=f"M {ratio}") for ratio in (0.0, 1.0, 5.0, 20.0)]
    worse = [trial(0.1, 0.0, label=point.label) for point in points]
    studies = pair(worse, points, {"seeds": [0]}, {"seeds": [0]})
    comparison = compare(*(unhashed(without_responses(study)) for study in studies))
    (line,) = (line for line in comparison_lines(comparison) if line.startswith("All 4 matching"))
    assert line.endswith("on 1 shared seed: no interval and no claim (a single seed).")


def test_a_seed_that_only_one_side_answered_in_full_is_not_lost(pair: Any, trial: Any) -> None:
    """The difference is over all seeds with values: two with responses are no claim of three."""
    first, second = pair([trial(0.1, 0.0, schedule="off")], [trial(1.0, 20.0)])
    for path in second.folder.rglob("eval-2-*.parquet"):
        path.unlink()
    (one,) = compare(first, second).differences
    assert one.difference is not None and len(one.difference.by_seed) == 3
    assert one.difference.problems == 0


@pytest.mark.parametrize(
    ("margins", "expected", "note"),
    [
        ((0.9, 0.9), 0.9, ""),
        ((0.9, None), 0.9, ""),
        ((None, None), 0.02, ""),
        ((0.9, 0.5), 0.02, "A 90 points and B 50 points: 2 points are used; --margin names one."),
    ],
)
def test_the_margin_is_that_which_the_studies_declare(
    pair: Any, trial: Any, margins: Any, expected: float, note: str
) -> None:
    studies = pair([trial(0.3, 0.0, label="x")], [trial(1.0, 20.0, label="x")])
    for study, margin in zip(studies, margins, strict=True):
        study.definition["compare"] = {"reference": "x", "equivalence": margin}
    comparison = compare(*studies)
    assert comparison.margin == expected
    assert compare(*studies, 0.4).margin == 0.4 and not compare(*studies, 0.4).notes
    assert [line for line in comparison_lines(comparison) if line.endswith(note)]
    assert bool(comparison.notes) == bool(note)


def test_trials_of_the_search_are_matched_by_their_settings(pair: Any, trial: Any) -> None:
    first, second = pair([trial(1.0, 1.0), trial(0.3, 5.0)], [trial(0.3, 5.0)])
    found = matched(unhashed(first), unhashed(second))
    assert [(m.a.id, m.b.id, m.by) for m in found] == [("t0001", "t0000", "settings")]


@pytest.mark.parametrize(
    ("margin", "says"), [(0.9, "equivalent within 90 points"), (None, "undec")]
)
def test_equivalence_is_within_a_margin(pair: Any, trial: Any, margin: Any, says: str) -> None:
    first, second = pair([trial(0.3, 0.0)], [trial(1.0, 20.0)])
    lines = comparison_lines(compare(first, second, margin))
    assert any(says in line for line in lines), lines


def test_two_seeds_make_no_claim(pair: Any, trial: Any) -> None:
    seeds = {"seeds": [0, 1]}
    first, second = pair([trial(0.1, 0.0, schedule="off")], [trial(1.0, 20.0)], seeds, seeds)
    assert any(
        "too few seeds for a claim" in line for line in comparison_lines(compare(first, second))
    )


@pytest.mark.parametrize(
    ("end", "seeds", "says"),
    [("failed", [0, 1], "t0000 of b is failed"), ("finished", [7, 8], "they share no seed")],
)
def test_what_cannot_be_compared_says_why(
    pair: Any, trial: Any, end: str, seeds: list[int], says: str
) -> None:
    first, second = pair([trial(1.0, 1.0)], [trial(1.0, 1.0, end=end)], None, {"seeds": seeds})
    assert any(says in line for line in comparison_lines(compare(first, second)))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"data": {"chain/hard": "other"}}, "measured on different problems in chain/hard"),
        ({"data": {}}, "does not say which problems"),
        ({"definition": {"metric": "eval/chain/easy/avg@8", "trials": 1}}, "have the metric"),
    ],
)
def test_studies_about_different_things_are_refused(
    pair: Any, trial: Any, fields: Any, says: str
) -> None:
    first, second = pair([trial(1.0, 1.0)], [trial(1.0, 1.0)], None, {"fields": fields})
    with pytest.raises(NotComparable, match=says):
        compare(first, second)


def test_trials_measured_on_different_splits_are_not_subtracted(pair: Any, trial: Any) -> None:
    first, second = pair([trial(1.0, 1.0)], [trial(1.0, 1.0)])
    second.configs["t0000"]["evaluation"]["split"] = "test"
    (one,) = compare(first, second).differences
    assert (
        one.difference is None and one.reason == "they were measured differently: evaluation.split"
    )


def test_definitions_are_diffed_by_setting(pair: Any, trial: Any) -> None:
    first, second = pair(
        [trial(1.0, 1.0)], [trial(1.0, 1.0)], None, {"fields": {"code": {"hash": "77b0"}}}
    )
    second.definition["seeds"].append(9)  # type: ignore[index]
    assert definition_differences(first, second) == [
        "seeds: [0, 1, 2] in A, [0, 1, 2, 9] in B",
        'sources: null in A, "77b0" in B',
    ]


def test_the_command_compares_or_says_why_not(
    pair: Any, trial: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = pair([trial(1.0, 1.0)], [trial(1.0, 1.0), trial(1.0, 5.0)])
    folders = [str(study.folder) for study in (first, second)]
    assert main(["compare", *folders, "--markdown"]) == 0
    said = capsys.readouterr().out
    assert (
        "| A | B |" in said
        and "Only in B" in said
        and "Differences are B minus A." in said
        and "t0001" in said
    )
    assert main(["compare", folders[0], folders[0]]) == 2
    assert "named twice" in capsys.readouterr().err
