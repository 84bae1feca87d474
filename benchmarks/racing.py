"""Rates at which racing stops trials as good as the best, under equal and unequal noise.

    python benchmarks/racing.py [--runs 1000] [--json out.json]

Trials with the same true mean are raced at one look, by the threshold from the noise of all rivals
together and by the bar that is used, which also asks for a paired test against the best rival. In
each case some of the J rivals and the newcomer are noisier than the rest. Then the power: how often
a newcomer that is worse by so much is stopped where all are equally noisy. `--runs` are the looks
of each case; 1,000 take a minute or two.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from harness import parser, write

from conspo_study.records import misses_bar
from conspo_study.search.racing import bar, paired_bar

ALPHA = 0.05
QUIET, NOISY, SEED_LUCK = 0.005, (0.015, 0.03, 0.2), 0.05
"""Standard deviations of a value, and of what a seed brings to all trials."""
EQUAL = 0.0125
AGAIN = 5
RIVALS, SEEDS, WORSE = (3, 11, 23), (2, 3, 5), (0.03, 0.06, 0.1)


class Rates(NamedTuple):
    """Shares of looks at which the newcomer is stopped."""

    threshold: float
    """By the threshold alone."""
    used: float
    """By the bar with the paired test."""


def rates(
    noises: Sequence[float], noise: float, seeds: int, looks: int, worse: float = 0.0
) -> Rates:
    """Stops of a newcomer of this noise, worse by `worse`, among rivals of these noises."""
    stream = random.Random(f"{noises} {noise} {seeds} {worse} {looks}")
    alone = both = 0
    for _ in range(looks):
        lucks = [stream.gauss(0, SEED_LUCK) for _ in range(seeds)]
        layout = [[luck + stream.gauss(0, sd) for luck in lucks] for sd in noises]
        values = {s: luck - worse + stream.gauss(0, noise) for s, luck in enumerate(lucks)}
        threshold = bar(layout, ALPHA, "max")
        if threshold is None or not misses_bar(threshold, values, 1):
            continue
        alone += 1
        both += misses_bar(paired_bar(threshold, layout, range(seeds), ALPHA, "max"), values, 1)
    return Rates(alone / looks, both / looks)


def unequal(trials: int) -> Iterator[tuple[list[float], float]]:
    """Noises of the rivals, and of the newcomer."""
    for noisy in sorted({0, 1, 2, trials // 4, trials // 2, trials}):
        for noise in NOISY:
            for own in (QUIET, *NOISY):
                yield [noise] * noisy + [QUIET] * (trials - noisy), own


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__, runs=1000).parse_args()
    looks = arguments.runs
    result: dict[str, dict[str, Any]] = {"worst": {}, "power": {}}
    print(f"equal means: stops in percent of {looks} looks, the worst case of each rule")
    for seeds in SEEDS:
        for trials in RIVALS:
            cases = list(unequal(trials))
            found = [rates(*case, seeds, looks) for case in cases]
            # The largest of many shares is too large by luck: it is measured again.
            worst = Rates(
                *(
                    rates(*cases[column.index(max(column))], seeds, AGAIN * looks)[rule]
                    for rule, column in enumerate(zip(*found, strict=True))
                )
            )
            result["worst"][f"{seeds} seeds, {trials} rivals"] = worst._asdict()
            print(
                f"{seeds} seeds, {trials:2} rivals: {100 * worst.threshold:5.1f} by the threshold "
                f"alone, {100 * worst.used:4.1f} by the bar that is used"
            )
    print(f"equal noise {EQUAL:g}: stops in percent of a trial that is worse")
    for seeds in SEEDS:
        for trials in RIVALS:
            cells = {f"{w:g}": rates([EQUAL] * trials, EQUAL, seeds, looks, w) for w in WORSE}
            result["power"][f"{seeds} seeds, {trials} rivals"] = {
                worse: cell._asdict() for worse, cell in cells.items()
            }
            row = ", ".join(
                f"by {worse}: {100 * cell.threshold:.0f} -> {100 * cell.used:.0f}"
                for worse, cell in cells.items()
            )
            print(f"{seeds} seeds, {trials:2} rivals: {row}")
    write(arguments.json, result)


if __name__ == "__main__":
    main()
