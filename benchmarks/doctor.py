"""Does the doctor find what is wrong, and nothing where all is well?

    python benchmarks/doctor.py [--runs 1] [--json out.json] [--also results/margin_sweep ...]

Twelve runs of the embedded model that are made ill on purpose, each in its own way, and two that
are well, as one study; `--runs` are the seeds of each. What has to be found, what was, and what
else was told. Of the studies named with `--also`: in how many of the trials that ended well, by
their value against the best, something was found.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from harness import parser, write

from analysis.findings.diagnoses import diagnoses
from analysis.load import load_study
from conspo_study import Anchor, Study, with_overrides
from conspo_study.definition.presets import EMBEDDED, PUBLISHED_OBJECTIVE

RATE, NAME = "update.learning_rate", "objective.name"
STALE = {"update.mini_batches": 4, "update.epochs_per_batch": 4}
GRPO = {NAME: "grpo"}
STEPS = 40

ILL: dict[str, tuple[set[str], dict[str, Any]]] = {
    "rate of 6e-4 on stale data": (
        {"reward fall", "collapsed seed"},
        {NAME: "conspo_linear", RATE: 6e-4, **STALE},
    ),
    "rate of 1e-3, capped weights": (
        {"reward fall", "collapsed seed"},
        {NAME: "cispo", RATE: 1e-3, **STALE},
    ),
    "short is better": ({"length drift"}, {**GRPO, "reward.name": "ill_parts:short_is_better"}),
    "long is good": ({"length drift"}, {**GRPO, "reward.name": "ill_parts:long_is_good"}),
    "ten tokens": ({"truncation", "no answers"}, {**GRPO, "rollout.max_new_tokens": 10}),
    "cold sampling": ({"dead groups", "entropy collapse"}, {**GRPO, "rollout.temperature": 0.05}),
    "hot sampling": ({"no answers"}, {**GRPO, "rollout.temperature": 4.0}),
    "silent judge": ({"undecided answers"}, {**GRPO, "reward.name": "ill_parts:often_silent"}),
    "sampler behind": ({"mismatch drift"}, {**GRPO, RATE: 3e-3, "rollout.ahead": True}),
    "tight clip": (
        {"clip saturation"},
        {NAME: "dapo", "objective.clip_low": 1e-4, "objective.clip_high": 1e-4, **STALE},
    ),
    "published margin": ({"margin without effect"}, dict(PUBLISHED_OBJECTIVE)),
    "a third of the losses is nan": (
        {"skipped steps"},
        {NAME: "ill_parts:OftenInfinite", "update.max_skipped_steps": 100, **STALE},
    ),
}
WELL = {"GRPO": GRPO, "linear": {NAME: "conspo_linear"}}


def ill_runs(seeds: int) -> Study:
    """Every ill run and every well one as a trial that runs to its end."""
    base = with_overrides(
        EMBEDDED,
        {
            **{"train.steps": STEPS, "evaluation.every": STEPS, "evaluation.reward": "math"},
            **{"evaluation.problems_per_set": 48, "evaluation.sets": ("chain/hard",)},
        },
    )
    settings = {name: params for name, (_, params) in ILL.items()} | WELL
    anchors = tuple(Anchor(label=name, params=params) for name, params in settings.items())
    return Study(
        name="ill_runs",
        base=base,
        anchors=anchors,
        trials=len(anchors),
        seeds=tuple(range(seeds)),
        metric=base.evaluation.main_metric,
        early_stopping=None,
    )


def found_in(folder: Path) -> dict[str, set[str]]:
    """The findings of each trial by its label, else its id."""
    study = load_study(folder)
    found: dict[str, set[str]] = {row.label or row.id: set() for row in study.table.all_rows}
    for one in diagnoses(study):
        names = {finding.name for finding in one.findings}
        found[one.trial.label or one.trial.id] = names
    return found


def false_alarms(folder: Path, share: float = 0.9) -> tuple[int, dict[str, list[str]]]:
    """Search trials whose value is at least `share` of the best, and what was found in them."""
    study = load_study(folder)
    best = study.best
    if best is None or best.value is None:
        return 0, {}
    well = [row for row in study.table.rows if (row.value or 0.0) >= share * best.value]
    found = diagnoses(study, well)
    return len(well), {one.trial.id: [finding.name for finding in one.findings] for one in found}


def main() -> None:
    """Train, examine and print."""
    command = parser(__doc__, runs=1)
    command.add_argument("--also", nargs="*", type=Path, default=[])
    arguments = command.parse_args()
    with tempfile.TemporaryDirectory() as place:
        ill_runs(arguments.runs).run(Path(place))
        found = found_in(Path(place) / "ill_runs")
    hits = misses = 0
    for name, (expected, _) in ILL.items():
        hits += len(expected & found[name])
        misses += len(expected - found[name])
        also = found[name] - expected
        print(
            f"{name:<30} found: {', '.join(sorted(expected & found[name])) or '-'}; "
            f"missed: {', '.join(sorted(expected - found[name])) or '-'}; "
            f"also: {', '.join(sorted(also)) or '-'}"
        )
    alarms = {name: sorted(found[name]) for name in WELL if found[name]}
    print(f"{hits} found, {misses} missed; of {len(WELL)} well runs {len(alarms)} with findings")
    result: dict[str, Any] = {
        "found": {name: sorted(names) for name, names in found.items()},
        "hits": hits,
        "misses": misses,
        "false_alarms": {"ill_runs": alarms},
    }
    for folder in arguments.also:
        count, told = false_alarms(folder)
        print(f"{folder.name}: {count} trials near the best, findings in {len(told)}: {told or ''}")
        result["false_alarms"][folder.name] = {"well": count, "found": told}
    write(arguments.json, result)


if __name__ == "__main__":
    main()
