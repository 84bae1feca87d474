"""A setting whose policy leaves its answers undecided when it does not know wins nothing."""

import pytest
from study_fixtures import MARGIN, METRIC, MemoryLog, definition

from conspo_study.config import with_overrides
from conspo_study.definition import Confirmation, EarlyStopping
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice
from conspo_study.evaluation.evaluate import evaluate
from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import EventKind, FinishStatus, Judgement, Problem, Rollout, Verdict
from conspo_study.search import Search, mean_value
from conspo_study.search.racing import Curves
from conspo_study.training.bars import Bars

PROBLEMS = [Problem(f"p{number}", "?", "5") for number in range(24)]
STEPS, EVERY = 8, 4
HONEST, EVASIVE = 0.0, 5.0
KNOWN = {HONEST: 12, EVASIVE: 9}
"""Problems that the policy of a margin solves; it does not know the others."""


def measured(margin, seed, undecided):
    """The metrics of a policy whose answer to what it does not know gets the verdict `undecided`
    if its margin is EVASIVE."""

    def sample(problems):
        lucky = (seed + round(margin)) % 2
        known = {problem.id for problem in PROBLEMS[: KNOWN[margin] + lucky]}
        return [
            [
                Rollout((1,), (0.0,), FinishStatus.STOPPED, "5" if problem.id in known else "?")
                for _ in range(2)
            ]
            for problem in problems
        ]

    def judge(answered):
        unknown = undecided if margin == EVASIVE else Verdict.WRONG
        return [
            Judgement(Verdict.CORRECT if item.response == "5" else unknown, item.response)
            for item in answered
        ]

    rows = evaluate(
        "chain/hard", PROBLEMS, sample, sample_one(sample), judge, lambda p: "?", seed=seed, step=0
    )
    return evaluation_metrics(rows, 2)


def sample_one(sample):
    return lambda problems: [responses[:1] for responses in sample(problems)]


def carry_out(search, suggestion, undecided):
    """Run a suggestion as a trial does; returns whether it ended early."""
    search.started(suggestion.trial)
    margin = suggestion.config.objective.margin
    seeds = {seed: measured(margin, seed, undecided) for seed in suggestion.seeds}
    bars = Bars(METRIC, "max", suggestion.bars)
    for step in (EVERY, STEPS):
        told = {str(seed): metrics for seed, metrics in seeds.items()}
        search.reported(suggestion.trial, {"step": step, "steps": STEPS, "seeds": told})
        missed = bars.missed(step, seeds)
        if missed:
            break
    value, values = mean_value(told, METRIC, suggestion.seeds)
    kind = EventKind.PRUNED if missed else EventKind.FINISHED
    search.ended(suggestion.trial, kind, {"step": step, "value": value, "values": values})
    return missed


def study(**changes):
    base = with_overrides(QUICK, {"train.steps": STEPS, "evaluation.every": EVERY})
    return definition(
        base=base,
        space={MARGIN: Choice(values=(HONEST, EVASIVE))},
        anchors=(),
        trials=2,
        **{"early_stopping": None, **changes},
    )


UNDECIDED = [v for v in Verdict if not v.decided and v is not Verdict.GOLD_BAD]


@pytest.mark.parametrize("undecided", UNDECIDED)
def test_neither_the_search_nor_its_confirmation_prefers_undecided_answers(undecided):
    log = MemoryLog()
    confirm = Confirmation(seeds=(100, 101, 102))
    search = Search(study(confirm=confirm), log)
    while suggestion := search.suggest():
        carry_out(search, suggestion, undecided)
    values = {row.params[MARGIN]: row.value for row in log.table.rows}
    assert values == pytest.approx({HONEST: 12.5 / 24, EVASIVE: 9.5 / 24})
    best = log.table.best("max")
    assert best.params[MARGIN] == HONEST
    (confirmation,) = log.table.confirmations
    assert confirmation.of == best.id and confirmation.params[MARGIN] == HONEST
    evasive = next(row for row in log.table.rows if row.params[MARGIN] == EVASIVE)
    shown = {metrics[f"{METRIC}/decided"] for metrics in evasive.seed_metrics.values()}
    assert shown == {1.0}, "what the policy would have got if undecided answers were left out"


def test_racing_compares_what_counts_undecided_answers_as_wrong():
    log = MemoryLog()
    definition = study(early_stopping=EarlyStopping())
    search = Search(definition, log)
    while suggestion := search.suggest():
        carry_out(search, suggestion, Verdict.TIMEOUT)
    curves = Curves(definition)
    curves.update(log.events)
    by_margin = {row.params[MARGIN]: row.id for row in log.table.rows}
    assert curves.at(EVERY, [by_margin[HONEST]]) == [[12 / 24, 13 / 24]]
    assert curves.at(EVERY, [by_margin[EVASIVE]]) == [[10 / 24, 9 / 24]]
    bar = {EVERY: 11 / 24}
    trial = {seed: measured(EVASIVE, seed, Verdict.KILLED) for seed in (0, 1)}
    assert Bars(METRIC, "max", bar).missed(EVERY, trial)
