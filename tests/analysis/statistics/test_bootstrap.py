"""Intervals agree with exact ones where there are any, and cover the truth elsewhere."""

import numpy as np
import pytest
from interval_coverage import coverage
from scipy.stats import bootstrap, trim_mean, ttest_1samp, ttest_rel

from analysis.statistics.bootstrap import difference, estimate, probability_of_improvement
from analysis.statistics.scores import ProblemScores, Scores, aligned


def scores(*benchmarks: object, seeds: tuple[int, ...] | None = None) -> Scores:
    arrays = [np.asarray(values, dtype=float) for values in benchmarks]
    return Scores(
        seeds or tuple(range(len(arrays[0]))),
        {
            f"b{index}": ProblemScores(tuple(f"p{i}" for i in range(values.shape[1])), values)
            for index, values in enumerate(arrays)
        },
    )


def random_scores(seed: int, seeds: int = 4, problems: int = 30, benchmarks: int = 3) -> Scores:
    rng = np.random.default_rng(seed)
    shape = (benchmarks, seeds, problems)
    return scores(*(rng.random(shape) + rng.normal(0, 0.1, (benchmarks, seeds, 1))))


def crossed_interval(values: np.ndarray) -> tuple[float, float]:
    """The same interval from the mean squares of a two-way layout, without a bootstrap."""
    from scipy.stats import t

    s, p = values.shape
    mean, rows, columns = values.mean(), values.mean(1, keepdims=True), values.mean(0)
    of_seeds = p * ((rows - mean) ** 2).sum() / (s - 1)
    of_problems = s * ((columns - mean) ** 2).sum() / (p - 1)
    mixed = ((values - rows - columns + mean) ** 2).sum() / ((s - 1) * (p - 1))
    total = max(of_seeds + of_problems - mixed, of_seeds, of_problems)
    parts = of_seeds**2 / (s - 1) + of_problems**2 / (p - 1) + mixed**2 / ((s - 1) * (p - 1))
    half = t.ppf(0.975, max(s - 1, total**2 / parts)) * np.sqrt(total / (s * p))
    return mean - half, mean + half


@pytest.mark.parametrize("shape", [(3, 40), (6, 10)])
@pytest.mark.parametrize("seed", range(3))
def test_the_interval_of_a_mean_is_that_of_the_two_way_layout(
    seed: int, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.normal(0, 0.2, (shape[0], 1)) + rng.normal(0, 0.2, shape[1])
    values = levels + rng.normal(0, 0.5, shape)
    found = estimate(scores(values), draws=20_000)
    assert found.value == pytest.approx(values.mean(), rel=1e-12)
    width = found.high - found.low
    assert (found.low, found.high) == pytest.approx(crossed_interval(values), abs=0.02 * width)


def test_where_only_seeds_vary_it_is_the_t_interval_over_seeds() -> None:
    means = np.array([0.71, 0.75, 0.69, 0.74, 0.80])
    found = estimate(scores(np.repeat(means[:, None], 10, axis=1)), draws=40_000)
    expected = ttest_1samp(means, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.002)


def test_where_only_problems_vary_it_is_the_t_interval_over_problems() -> None:
    answers = np.random.default_rng(0).random(25)
    found = estimate(scores(np.tile(answers, (3, 1))), draws=40_000)
    expected = ttest_1samp(answers, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.005)


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_the_standard_error_over_many_seeds_is_scipys(statistic: str) -> None:
    means = np.random.default_rng(1).gamma(0.5, 0.4, 60)
    found = estimate(scores(np.repeat(means[:, None], 2, axis=1)), statistic, draws=20_000)

    def iqm(sample: np.ndarray, axis: int) -> np.ndarray:
        cut = sample.shape[axis] // 4
        return np.sort(sample, axis=axis)[..., cut : sample.shape[axis] - cut].mean(axis=axis)

    of = np.mean if statistic == "mean" else iqm
    error = bootstrap((means,), of, n_resamples=10_000, random_state=0).standard_error
    assert (found.high - found.low) / 2 == pytest.approx(2.0 * error, rel=0.05)


def test_the_iqm_leaves_out_a_quarter_of_the_seeds_means_at_either_end() -> None:
    found = random_scores(3, seeds=3, benchmarks=4)
    assert estimate(found, "iqm").value == pytest.approx(trim_mean(found.cells, 0.25, axis=None))


def test_a_paired_difference_is_that_of_the_paired_t_test() -> None:
    mine, theirs = np.array([0.7, 0.75, 0.72, 0.9]), np.array([0.6, 0.7, 0.69, 0.7])
    wide = [np.repeat(values[:, None], 8, axis=1) for values in (mine, theirs)]
    found = difference(scores(wide[0]), scores(wide[1]), draws=40_000)
    expected = ttest_rel(mine, theirs)
    assert found is not None and found.p_value == pytest.approx(expected.pvalue, rel=0.05)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(interval), abs=0.003)


def test_what_two_methods_share_does_not_widen_their_difference() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(0, 1, (4, 1)) + rng.normal(0, 1, 30)
    mine = scores(common + 0.5 + rng.normal(0, 0.01, (4, 30)))
    theirs = scores(common)
    found, single = difference(mine, theirs), estimate(theirs)
    assert found is not None and found.low > 0.48 and found.high < 0.52
    assert single.high - single.low > 20 * (found.high - found.low)


def test_differences_are_over_shared_seeds_and_problems_only() -> None:
    mine = scores([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], seeds=(3, 7))
    theirs = Scores(
        (7, 5, 3),
        {
            "b0": ProblemScores(("p2", "p0", "x"), np.array([[0, 0.5, 9], [8, 8, 8], [1, 0, 9.0]])),
            "other": ProblemScores(("p0",), np.ones((3, 1))),
        },
    )
    pair = aligned(mine, theirs)
    assert pair is not None and pair[0].seeds == pair[1].seeds == (3, 7)
    assert [list(side.benchmarks) for side in pair] == [["b0"], ["b0"]]
    assert pair[0].benchmarks["b0"].values.tolist() == [[1, 1], [1, 0]]
    assert pair[1].benchmarks["b0"].values.tolist() == [[0, 1], [0.5, 0]]
    found = difference(mine, theirs)
    assert found is not None and (found.seeds, found.problems) == (2, 2)
    assert found.value == pytest.approx(0.75 - 0.375)


def test_methods_that_share_nothing_have_no_difference() -> None:
    one = scores([[1.0, 0.0]], seeds=(0,))
    assert difference(one, scores([[1.0, 0.0]], seeds=(1,))) is None
    assert probability_of_improvement(one, scores([[1.0, 0.0]], seeds=(1,))) is None


def test_a_missing_score_leaves_its_problem_out_of_both_sides() -> None:
    mine = scores([[1.0, np.nan, 0.0, 1.0], [1.0, 1.0, 0.0, 0.5]])
    theirs = scores([[1.0, 1.0, np.nan, 0.0], [0.0, 1.0, 1.0, 0.5]])
    found = difference(mine, theirs)
    assert found is not None
    assert found.value == pytest.approx(((1 + 1) / 2 + 2.5 / 4) / 2 - (1 / 2 + 2.5 / 4) / 2)
    assert "50% of the problems" in found.no_interval and found.low is None


def test_few_missing_scores_change_no_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((3, 50))
    values[1, 7] = np.nan
    found = estimate(scores(values))
    assert found.value == pytest.approx(np.nanmean(values, axis=1).mean(), rel=1e-12)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[0.0, 1.0, 0.5]], "a single seed"),
        ([[0.0], [1.0]], "a single problem in b0"),
        ([[1.0, 1.0], [1.0, 1.0]], "the scores do not vary"),
    ],
)
def test_no_interval_is_given_for_what_shows_no_spread(values: object, reason: str) -> None:
    found = estimate(scores(values))
    assert found.low is found.high is found.p_value is None and reason in found.no_interval


def test_benchmarks_count_alike_however_many_problems_they_have() -> None:
    found = estimate(scores(np.tile([0.0, 1.0] * 2, (2, 1)), np.ones((2, 50))))
    assert found.value == pytest.approx(0.75) and found.problems == 54


def test_the_same_scores_have_the_same_interval() -> None:
    assert estimate(random_scores(0)) == estimate(random_scores(0))


def test_the_share_of_covered_truths_is_what_was_promised() -> None:
    """Of 250 intervals, 0.895 is four standard errors below 0.95."""
    for kind in ("mean", "difference"):
        share, _ = coverage(kind, seeds=3, seed_sd=0.1, repeats=250, problems=60)
        assert share > 0.895, f"{kind}: {share}"


def test_points_agree_with_rliable() -> None:
    metrics = pytest.importorskip("rliable.metrics")
    for seed in range(5):
        mine, theirs = random_scores(seed), random_scores(seed + 10)
        assert estimate(mine).value == pytest.approx(metrics.aggregate_mean(mine.cells))
        assert estimate(mine, "iqm").value == pytest.approx(metrics.aggregate_iqm(mine.cells))
        assert probability_of_improvement(mine, theirs) == pytest.approx(
            metrics.probability_of_improvement(mine.cells, theirs.cells)
        )


def test_the_interval_over_many_seeds_agrees_with_rliable() -> None:
    metrics = pytest.importorskip("rliable.metrics")
    library = pytest.importorskip("rliable.library")
    many = np.random.default_rng(0).normal(0.5, 0.1, (60, 1))
    found = estimate(scores(np.repeat(many, 2, axis=1)), "iqm", draws=20_000)
    try:
        _, ends = library.get_interval_estimates(
            {"m": many},
            lambda values: np.array([metrics.aggregate_iqm(values)]),
            reps=5000,
            random_state=np.random.RandomState(0),
        )
    except TypeError as error:  # it names its seed as no present release of arch does
        pytest.skip(f"rliable's bootstrap does not fit the installed arch: {error}")
    assert (found.low, found.high) == pytest.approx(tuple(ends["m"][:, 0]), abs=0.006)


def test_a_tie_is_half_an_improvement() -> None:
    mine = scores([[1.0, 0.0], [0.0, 0.0]])
    assert probability_of_improvement(mine, mine) == 0.5
    better = scores([[1.0, 1.0], [0.0, 1.0]])
    assert probability_of_improvement(better, mine) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: ProblemScores(("a",), np.zeros((2, 3))),
            r"shape \(2, 3\), which is not seeds x 1",
        ),
        (lambda: ProblemScores(("a", "a"), np.zeros((2, 2))), "appears twice"),
        (lambda: scores([[np.inf, 0.0]]), "finite"),
        (lambda: scores([[np.nan, np.nan], [0.0, 1.0]]), "leave that seed out"),
        (lambda: scores([[0.0]], seeds=(1, 2)), "scores of 1 seeds, not of 2"),
        (lambda: scores([[0.0], [0.0]], seeds=(1, 1)), "a seed appears twice"),
        (lambda: Scores((), {}), "at least one seed"),
    ],
)
def test_scores_that_are_none_are_refused(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]
