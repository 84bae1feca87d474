"""Notes of a plan: limits of what a study can show, known before it runs."""

from __future__ import annotations

from collections.abc import Iterator

from conspo_study.config import EvaluationConfig, config_hash, with_overrides
from conspo_study.config.fields import NAME
from conspo_study.definition import EarlyStopping, StudyDefinition
from conspo_study.definition.batches import Batch
from conspo_study.definition.space.census import census
from conspo_study.definition.variants import variants
from conspo_study.forecast.costs import warm_start_seconds
from conspo_study.text import counted, duration

UNLIKE_NOISE = (
    NAME,
    "update.learning_rate",
    "update.mini_batches",
    "update.epochs_per_batch",
)
"""Settings that change how noisy and how fast training is."""


def study_notes(study: StudyDefinition, again: Batch | None) -> Iterator[str]:
    """All notes on a study. again: its confirmation."""
    if study.function is None and study.built_in.policy.trust_remote_code:
        yield (
            f"CODE FROM {study.built_in.policy.model} IS RUN with all your rights: "
            "policy.trust_remote_code is on"
        )
    if isinstance(study.early_stopping, EarlyStopping) and not study.looks:
        why = (
            "one seed gives no paired evidence"
            if len(study.seeds) == 1
            else "there is no step to stop it at between its first allowed step and the last"
            if study.function is not None
            else "there is no evaluation between its first allowed step and the last"
        )
        yield f"early stopping never stops a trial: {why}"
    if (seconds := warm_start_seconds(study) if study.function is None else 0.0) > 0:
        yield (
            "every seed begins with a warm start of its own, made on one core before the trials "
            f"and then cached: about {duration(seconds)} if none is"
        )
    yield from racing_notes(study)
    if study.function is None:
        yield from _correction_note(study)
    if study.halving is not None and (searched := study.trials - len(study.anchors)):
        share = study.halving.trained_share(study.base.train.steps)
        rungs = ", ".join(map(str, study.halving.rungs))
        yield (
            f"successive halving at step {rungs}: {share:.0%} of the steps of "
            f"{counted(searched, 'searched trial')} are trained"
        )
    yield from space_notes(study)
    yield from _comparison_notes(study)
    if again is None:
        yield (
            "no confirmation: selection makes the best value look better than it is, by an unknown "
            "amount"
        )
        return
    if study.function is not None:
        if not study.confirm or not study.confirm.overrides:
            yield (
                "the confirmation changes the seeds alone: where the search and it should measure "
                "on different data, set a parameter for that in its overrides"
            )
        return
    same = _sets_used_twice(study.built_in.evaluation, again.built_in.evaluation)
    if same:
        yield (
            f"the confirmation measures {', '.join(same)} on the problems that the search used: "
            "put {split} into the path of the file, or set evaluation.split in its overrides"
        )


def racing_notes(study: StudyDefinition) -> Iterator[str]:
    """Advice where early stopping compares trials of unlike noise and speed."""
    if study.early_stopping is None or not study.looks or study.function is not None:
        return
    if study.trials == len(study.anchors):
        return  # baselines run to their end
    varied = {path for anchor in study.anchors for path in anchor.params} | set(study.space)
    unlike = [path for path in UNLIKE_NOISE if path in varied]
    if unlike:
        yield (
            f"early stopping compares trials that differ in {', '.join(unlike)}: their noise is "
            "unlike, and those that start slowly lose at half time whatever they would reach. For "
            "a fair comparison set early_stopping=None"
        )


def _correction_note(study: StudyDefinition) -> Iterator[str]:
    """A note on objectives to which the configured importance weights do nothing."""
    unaffected = sorted(
        {
            run.objective.name
            for run in variants(study)
            if run.update.importance_cap is not None
            and run.update.importance_level == "token"
            and not run.objective.corrects_tokens
        }
    )
    if unaffected:
        yield (
            f"update.importance_cap does nothing to {', '.join(unaffected)}, whose loss reads no "
            "weights of tokens: update.importance_level=sequence weighs the gradient of every "
            "objective"
        )


def space_notes(study: StudyDefinition) -> Iterator[str]:
    """Notes on points of the space that are never tried, and on baselines that are equal."""
    by_hash: dict[str, list[str]] = {}
    for anchor in study.anchors:
        key = config_hash(with_overrides(study.base, anchor.params))
        by_hash.setdefault(key, []).append(anchor.label)
    for labels in by_hash.values():
        if len(labels) > 1:
            names = " and ".join(map(repr, labels))
            yield f"baselines {names} are the same configuration, and each of them is run"
    if not study.space or study.trials == len(study.anchors):
        return
    seen = census(study.space, study.base)
    if seen.invalid:
        share = (
            f"{seen.invalid} of the {seen.points} points of the space "
            + ("is" if seen.invalid == 1 else "are")
            if seen.whole
            else f"about {seen.invalid / seen.points:.1%} of the space "
            f"({seen.invalid} of {seen.points} random points) is"
        )
        yield f"{share} invalid and never tried, such as {seen.example}"
    taken = len(seen.hashes & by_hash.keys())
    unused = study.trials - len(study.anchors) - (len(seen.hashes) - taken)
    if seen.whole and unused > 0:
        valid = "valid points" if seen.invalid else "points"
        yield (
            f"the space has {len(seen.hashes)} {valid}, of which baselines take {taken}: {unused} "
            f"of {study.trials} trials cannot be used"
        )


def _comparison_notes(study: StudyDefinition) -> Iterator[str]:
    count = len(study.anchors)
    if study.confirm is not None and study.confirm.best_over:
        return
    if study.compare is None and count == study.trials and count > 2:
        yield (
            f"every two of the {count} baselines are compared, {count * (count - 1) // 2} "
            f"comparisons: compare=Comparisons(reference=...) tests {count - 1} and shows smaller "
            "differences"
        )


def _sets_used_twice(search: EvaluationConfig, again: EvaluationConfig) -> list[str]:
    """Tracked sets whose problems are the same in search and confirmation."""
    return [
        name
        for name in again.tracked_sets
        if name in search.tracked_sets and search.source(name) == again.source(name)
    ]
