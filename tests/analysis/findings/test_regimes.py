"""The map: cells at their own best, paired differences, families, collapse, boundaries."""

import math
from dataclasses import replace
from statistics import fmean

import pytest
from regime_results import BASE, OBJECTIVES, RATE, UNTRAINED, points, small, write_map
from scipy.stats import t as student_t

from analysis.figures.gallery_regimes import regime_figures
from analysis.figures.style import style
from analysis.findings.collapses import rate_of
from analysis.findings.confirmation import confirmation_of
from analysis.findings.confirmation_summary import confirmation_lines
from analysis.findings.confirmation_table import confirmation_table
from analysis.findings.regime_differences import boundary_cells, families_of, family_of
from analysis.findings.regime_tables import (
    cells_frame,
    cells_table,
    findings_table,
    map_lines,
    searched_frame,
)
from analysis.findings.regimes import regime_map
from analysis.load.study import load_study
from analysis.statistics.bootstrap import difference, estimate
from conspo_study.config import with_overrides
from conspo_study.definition import Comparisons, Confirmation

LEVELS = {
    # objective, E -> accuracy at the lower and at the higher rate
    ("linear", 1): (0.60, 0.70),
    ("GRPO", 1): (0.60, 0.70),
    ("ConSPO tau 1", 1): (0.99, 0.60),
    ("linear", 4): (0.60, 0.02),
    ("GRPO", 4): (0.50, 0.75),
    ("ConSPO tau 1", 4): (0.65, 0.05),
}


def level(label, seed):
    name, e, rate = label.split(", ")
    value = LEVELS[name, int(e[1:])][rate == "lr 0.0003"]
    # One of four fresh seeds of this cell breaks down.
    return 0.03 if (name, e, seed) == ("GRPO", "E4", 102) else value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_map(tmp_path_factory.mktemp("map") / "map", small(), level, problems=40)


@pytest.fixture(scope="module")
def found(folder):
    return regime_map([load_study(folder)])


@pytest.fixture(scope="module")
def families(found):
    return families_of(found)


def test_every_cell_is_at_its_own_best_and_has_the_values_of_its_confirmation(found):
    assert found.objectives == tuple(OBJECTIVES)
    assert found.steps == (1, 4)
    assert found.chosen_over == (RATE,)
    rates = {(c.objective, c.steps): c.chosen.params[RATE] for c in found.cells}
    assert rates == {
        ("linear", 1): 3e-4,
        ("GRPO", 1): 3e-4,
        ("ConSPO tau 1", 1): 1e-4,
        ("linear", 4): 1e-4,
        ("GRPO", 4): 3e-4,
        ("ConSPO tau 1", 4): 1e-4,
    }
    for cell in found.cells:
        assert cell.run.of == cell.chosen.id
        assert tuple(cell.values) == (100, 101, 102, 103)
        assert cell.scores.by_seed("chain/hard") == pytest.approx(dict(cell.values))
        assert cell.change == pytest.approx(cell.chosen.value - fmean(cell.values.values()))
        assert cell.interval.low < cell.mean < cell.interval.high


def test_differences_are_paired_over_seeds_and_problems_at_the_same_e(found, families):
    linear, grpo = families
    assert [family.reference for family in families] == ["linear", "GRPO"]
    assert (linear.size, grpo.size) == (4, 4)
    one = linear.of(found.cell("ConSPO tau 1", 4))
    cell, reference = found.cell("ConSPO tau 1", 4), found.cell("linear", 4)
    assert one.value == pytest.approx(
        fmean(cell.values[s] - reference.values[s] for s in cell.values)
    )
    assert (one.seeds, one.problems) == (4, 40)
    paired = difference(cell.scores, reference.scores).contrast
    half = student_t.ppf(1 - 0.025 / 4, paired.freedom) * paired.error
    assert (one.low, one.high) == pytest.approx((one.value - half, one.value + half))
    assert linear.of(reference) is None, "a reference is not compared with itself"


def test_verdicts_follow_the_simultaneous_intervals(found, families):
    linear = families[0]
    best = linear.of(found.cell("ConSPO tau 1", 1))
    assert best.low > 0 and best.verdict == "better"
    same = linear.of(found.cell("GRPO", 1))
    assert same.value == 0.0, "the same answers"
    assert (same.low, same.verdict) == (None, "undecided")
    assert same.reason == "the scores do not vary"
    wide = family_of(found, "linear", margin=0.9)
    assert wide.of(found.cell("ConSPO tau 1", 1)).verdict == "equivalent"
    assert {one.verdict for one in wide.differences} >= {"equivalent"}


def test_a_metric_that_is_no_share_has_a_map_without_equivalence(tmp_path):
    study = load_study(write_map(tmp_path / "map", small(), level, problems=40))
    found = regime_map([replace(study, metric="eval/chain/hard/length")])
    linear = family_of(found, "linear")
    assert linear.margin is None
    assert linear.of(found.cell("ConSPO tau 1", 1)).verdict == "better"
    assert not linear.having("equivalent")
    assert boundary_cells(found, [linear]) == (), "no margin to be close by"
    lines = map_lines(found, [linear])
    assert any("No margin of equivalence, so no cell is called equivalent." in x for x in lines)
    share = regime_map([study])
    lines = map_lines(share, [replace(family_of(share, "linear"), margin=None)])
    assert any(x.startswith("1 cell on a boundary (collapsed on some seeds only)") for x in lines)
    entries = [one for one in regime_figures(found, [linear]) if not isinstance(one, str)]
    assert "Hatched" not in entries[0].caption
    with style():
        drawn = entries[0].draw()
    assert not any("within" in text.get_text() for text in drawn.legends[0].get_texts())


def test_the_margin_is_the_studys_own_and_a_later_choice_is_told(tmp_path):
    compare = Comparisons(reference=points()[0].label, equivalence=0.05)
    folder = write_map(tmp_path / "map", small(compare=compare), level, problems=40)
    found = regime_map([load_study(folder)])
    linear = family_of(found, "linear")
    assert (linear.margin, linear.late) == (0.05, ())
    assert family_of(found, "linear", 0.05).late == ()
    assert not any("when the map was made" in line for line in map_lines(found, [linear]))
    for family, what in (
        (family_of(found, "linear", 0.02), "Its margin was chosen when the map was made."),
        (family_of(found, "ConSPO tau 1"), "Its reference was chosen when the map was made."),
        (family_of(found, "ConSPO tau 1", 0.1), "Its reference and its margin were chosen when "),
    ):
        assert any(what in line for line in map_lines(found, [family]))
    plain = load_study(
        write_map(tmp_path / "e8", small(points(steps=(8,)), name="e8"), lambda *_: 0.5)
    )
    assert family_of(regime_map([load_study(folder), plain]), "linear").margin == 0.05
    other = compare.model_copy(update={"reference": "linear, E8, lr 0.0001", "equivalence": 0.1})
    eight = small(points(steps=(8,)), name="other", compare=other)
    both = [load_study(folder), load_study(write_map(tmp_path / "other", eight, lambda *_: 0.5))]
    with pytest.raises(ValueError, match=r"different margins, 0.05, 0.1: choose with --margin"):
        family_of(regime_map(both), "linear")


def test_less_of_a_metric_may_be_better(tmp_path):
    study = small(direction="min")
    one = regime_map([load_study(write_map(tmp_path / "min", study, level, problems=40))])
    assert one.cell("ConSPO tau 1", 1).chosen.params[RATE] == 3e-4, "the lower value"
    upside = {(o.cell.objective, o.cell.steps): o for o in family_of(one, "linear").differences}
    for entry in upside.values():
        if entry.verdict in ("better", "worse"):
            assert (entry.high < 0) == (entry.verdict == "better")


def test_a_seed_has_collapsed_if_it_ends_below_half_of_where_it_began(found):
    cell = found.cell("GRPO", 4)
    assert min(cell.values.values()) < 0.5 * UNTRAINED
    assert cell.collapsed == (102,)
    assert cell.mean == fmean(cell.values.values()), "it counts in the mean"
    assert [c.objective for c in found.cells if c.collapsed] == ["GRPO"]
    row = found.cell("linear", 4).searched[1]
    assert rate_of(cell.study, row).seeds == (0, 1)


def test_boundary_cells_are_close_to_a_reference_or_collapsed_on_some_seeds(found, families):
    named = {(c.objective, c.steps) for c in boundary_cells(found, families)}
    assert ("GRPO", 4) in named, "one of four seeds"
    assert {("linear", 1), ("GRPO", 1)} <= named, "no difference"
    assert ("ConSPO tau 1", 1) not in named


def test_tables_have_every_cell_with_its_n_interval_and_verdicts(found, families):
    frame = cells_frame(found, families)
    assert len(frame) == 6
    row = frame[(frame["objective"] == "GRPO") & (frame["e"] == 4)].iloc[0]
    assert (row["n"], row["problems"], row["collapsed"]) == (4, 40, 1)
    assert row["minus_GRPO_verdict"] == "reference"
    assert row["minus_linear_low"] < row["minus_linear"] < row["minus_linear_high"]
    table = cells_table(found, families)
    assert table.titles[:3] == ("E", "objective", "learning_rate")
    assert [row[:2] for row in table.rows[:2]] == [("1", "linear"), ("1", "GRPO")]
    assert table.rows[4][table.titles.index("collapsed")] == "1 of 4"
    searched = searched_frame(found)
    assert len(searched) == 12 and searched["chosen"].sum() == 6
    assert searched.set_index("trial").loc["t0007", "collapsed"] == 2


def test_sentences_carry_intervals_and_the_size_of_the_family(found, families):
    lines = map_lines(found, families)
    assert lines[0] == (
        "6 cells: 3 objectives at E 1, 4 (optimiser steps per rollout batch), each at its own best "
        "update.learning_rate; 6 measured, by chain/hard avg@2."
    )
    better = next(line for line in lines if line.startswith("Better than linear (family of 4): "))
    assert "ConSPO tau 1 at E 1 +" in better and "(n = 4)" in better
    fallen = next(line for line in lines if line.startswith("Collapsed seeds"))
    assert "GRPO at E 4 1 of 4 [0.01, 0.81]" in fallen, "Clopper-Pearson"
    assert any("conspo map --again" in line for line in lines)
    unseen = next(line for line in lines if line.startswith("Intervals know nothing"))
    assert unseen == (
        "Intervals know nothing of collapses that did not occur: none in 4 seeds leaves a rate up "
        "to 53 % (95 %)."
    )
    wide = family_of(found, "linear", margin=0.9)
    assert any(
        line.startswith("Equivalent to linear, if no seed collapses (family of 4): ")
        for line in map_lines(found, [wide])
    )
    told = findings_table(found, families)
    assert ("at E 1, ConSPO tau 1 is better than linear") in [row[0] for row in told.rows]
    assert all(row[-1].startswith("4 (minus ") for row in told.rows)


def test_pieces_make_the_same_map_as_the_whole_with_one_family(folder, tmp_path, found):
    pieces = [
        write_map(tmp_path / f"e{e}", small(points(steps=(e,)), name=f"e{e}"), level, problems=40)
        for e in (4, 1)
    ]
    joined = regime_map([load_study(piece) for piece in pieces])
    assert joined.steps == found.steps
    first, second = family_of(joined, "linear"), family_of(found, "linear")
    key = [(o.cell.objective, o.cell.steps, o.value, o.low, o.high) for o in first.differences]
    assert key == [
        (o.cell.objective, o.cell.steps, o.value, o.low, o.high) for o in second.differences
    ]


def test_a_stratum_that_never_finished_is_counted_in_the_family_and_told(tmp_path):
    lost = [f"GRPO, E4, lr {rate:g}" for rate in (1e-4, 3e-4)]
    study = load_study(write_map(tmp_path / "lost", small(), level, unfinished=lost))
    found = regime_map([study])
    linear, grpo = families_of(found)
    assert linear.size == 4
    assert linear.of(found.cell("GRPO", 4)).verdict == "not measured"
    assert {o.verdict for o in grpo.differences if o.cell.steps == 4} == {"not measured"}
    assert "GRPO at E 4: no trial has finished." in map_lines(found, [linear])
    assert math.isclose(linear.each, 1 - 0.05 / 4)
    lines = confirmation_lines(confirmation_of(study))
    assert lines[0].startswith("6 strata, each at its own best update.learning_rate: 5 confirmed")
    assert lines[1].startswith("Strata without a finished trial: 1, the first trials t0008 (GRPO")


def test_the_confirmation_of_strata_has_a_row_for_each_and_no_overall_winner(folder):
    confirmation = confirmation_of(load_study(folder))
    assert confirmation.winner is None
    assert [trial.role for trial in confirmation.trials] == ["best"] * 6
    table = confirmation_table(confirmation)
    assert "difference to winner" not in table.titles
    assert [row[2] for row in table.rows][:2] == ["linear, E1, lr 0.0003", "GRPO, E1, lr 0.0003"]


def test_a_study_that_chose_nothing_is_mapped_as_it_is(tmp_path):
    plain = small(points(rates=(3e-4,)), confirm=None, seeds=(0, 1, 2))
    found = regime_map([load_study(write_map(tmp_path / "plain", plain, level))])
    assert {tuple(cell.values) for cell in found.cells} == {(0, 1, 2)}
    assert {cell.change for cell in found.cells} == {None}
    assert found.chosen_over == ()
    assert family_of(found, "LINEAR").reference == "linear"
    linear = families_of(found)[0]
    assert linear.differences[0].problems == 0, "no responses are stored here"
    assert linear.paired == "paired over seeds alone"
    assert any(
        "4 comparisons, paired over seeds alone; its" in x for x in map_lines(found, [linear])
    )
    mixed = replace(linear.differences[0], problems=40), *linear.differences[1:]
    some = replace(linear, differences=mixed)
    assert some.paired == "paired over seeds and problems (3 of them over seeds alone)"
    caption = next(iter(regime_figures(found, [some]))).caption
    assert "(3 of them over seeds alone). Colour" in caption


def test_further_seeds_replace_a_cell_and_leave_the_others_their_pairs(folder, tmp_path):
    again = [
        anchor
        for anchor in points()
        if anchor.label in ("GRPO, E4, lr 0.0003", "linear, E4, lr 0.0001")
    ]
    base = with_overrides(BASE, {"evaluation.split": "test"})
    seeds = tuple(range(200, 206))
    more = small(tuple(again), name="again", base=base, confirm=None, seeds=seeds)
    studies = [load_study(write_map(tmp_path / "again", more, level)), load_study(folder)]
    found = regime_map(studies)
    cell = found.cell("GRPO", 4)
    assert tuple(cell.values) == tuple(range(200, 206))
    assert cell.collapsed == () and cell.before.collapsed == (102,)
    linear = family_of(found, "linear")
    assert linear.of(cell).seeds == 6, "with the reference as it ran again"
    kept = linear.of(found.cell("ConSPO tau 1", 4))
    assert kept.seeds == 4, "with the reference as it was"
    scores = found.cell("ConSPO tau 1", 4).scores, found.cell("linear", 4).before.scores
    paired = difference(*scores).contrast
    half = student_t.ppf(1 - 0.025 / 2 / 4, paired.freedom) * paired.error
    assert kept.high - kept.value == pytest.approx(half), "each stage has half of the 5 %"
    assert linear.each == pytest.approx(1 - 0.05 / 2 / 4)
    lines = map_lines(found, [linear])
    assert any("over both stages, of which each has half" in line for line in lines)
    told = next(line for line in lines if "ran again" in line)
    assert told.startswith("2 cells, references included, ran again on further seeds")
    assert "compared with their references on the earlier seeds" in told
    assert told.endswith("kept because they were large are biased away from 0.")
    assert cell not in boundary_cells(found, [linear])


def test_maps_that_do_not_fit_together_are_refused(folder, tmp_path):
    study = load_study(folder)
    twice = load_study(write_map(tmp_path / "twice", small(name="twice"), level))
    with pytest.raises(ValueError, match="both have 'linear, E1"):
        regime_map([study, twice])
    with pytest.raises(ValueError, match="no objective is called 'PPO'; known: linear, GRPO"):
        family_of(regime_map([study]), "PPO")
    plain = small(points(steps=(8,), rates=(3e-4,)), confirm=None)
    other = load_study(write_map(tmp_path / "dev", plain, lambda *_: 0.5))
    with pytest.raises(ValueError, match=r"differ in evaluation.split.*dev in .*test in "):
        regime_map([study, other])
    same = small((points()[0], points()[2].model_copy(update={"label": "linear, E1, lr 2"})))
    clash = load_study(write_map(tmp_path / "clash", same, lambda *_: 0.5))
    assert regime_map([clash]).objectives == ("linear, E1, lr 0.0001", "linear, E1, lr 2")


def test_noise_of_one_cell_does_not_widen_the_interval_of_another(tmp_path):
    """Variances are per cell: a seed that breaks down is the matter of its own cell."""

    def noisy(label, seed):
        name = label.partition(",")[0]
        return {"linear": 0.5, "GRPO": 0.55}.get(name, (0.9, 0.02)[seed % 2])

    found = regime_map([load_study(write_map(tmp_path / "noisy", small(), noisy, problems=120))])
    linear = family_of(found, "linear")
    quiet, loud = (linear.of(found.cell(name, 1)) for name in ("GRPO", "ConSPO tau 1"))
    assert quiet.verdict == "better" and quiet.high - quiet.low < 0.15
    assert loud.verdict == "undecided" and loud.high - loud.low > 0.9


def test_a_confirmation_in_progress_is_told(tmp_path):
    study = small(confirm=Confirmation(seeds=(100, 101), best_over=(RATE,)))
    folder = write_map(tmp_path / "part", study, level)
    log = folder / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if b'"c0003"' in line)
    log.write_bytes(b"".join(lines[:first]))
    loaded = load_study(folder)
    found = regime_map([loaded])
    assert sum(bool(cell.values) for cell in found.cells) == 3
    assert any("is not confirmed yet" in line for line in map_lines(found, families_of(found)))
    assert "3 confirmed" in confirmation_lines(confirmation_of(loaded))[0]


def test_an_interval_of_scores_ends_where_scores_do(tmp_path):
    """One of four seeds fell from 1: Student's interval would reach far above 1."""
    fallen = small(points({"linear": OBJECTIVES["linear"]}, steps=(1,), rates=(1e-4,)))
    study = write_map(tmp_path / "map", fallen, lambda _, seed: 0.1 if seed == 101 else 1 - 1e-9)
    cell = regime_map([load_study(study)]).cells[0]
    low, high = cell.interval.low, cell.interval.high
    assert 0.0 <= low < cell.mean < high == 1.0
    assert estimate(cell.scores).high > 1.0
