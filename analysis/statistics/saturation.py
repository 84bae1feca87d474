r"""Saturating curves of compute, fitted by bounded least squares to many draws at once.

    R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B)

is the curve of Khatri et al. (2025, arXiv 2510.13786, eq. 1): R0 is the value before training, A
the asymptote, C_mid the compute at which half of the gain A - R0 is reached, B the steepness. In
log C it is a logistic curve. R0 is measured, not fitted.

For given B and C_mid the curve is linear in A, so the best A within its bounds has a closed form.
A grid of B and C_mid, with that A, gives every draw its start: as many starts as the grid has
points. From the best of them Levenberg and Marquardt's iteration goes on within the bounds. Nothing
is random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.statistics.scores import Floats

Flags = npt.NDArray[np.bool_]

STEEPNESS = 0.25, 8.0
"""Bounds of B. Steeper curves rise between two evaluations."""
BEYOND = 10.0
"""C_mid is at least the first evaluation's compute divided by it, at most the last one's times
it."""
FREE_GAIN = 10.0
"""Of a metric without a largest value: the most that A - R0 may be, in units of the largest
measured gain."""
_GRID = 18, 40
"""Values of B and of C_mid."""
_ITERATIONS = 60
_SETTLED = 1e-9
"""A draw is settled when a step lowers its sum of squares by less than this share of it, or when
none does at any damping below `_STUCK`."""
_STUCK = 1e6
_EDGE = 1e-3
"""Closer to a bound, in logarithms, is at it."""


@dataclass(frozen=True, slots=True, eq=False)
class Saturation:
    """Fitted curves, one for each of D draws."""

    start: Floats
    """[D]: R0."""
    asymptote: Floats
    """[D]: A."""
    steepness: Floats
    """[D]: B."""
    midpoint: Floats
    """[D]: C_mid."""
    edge: Flags
    """[D]: whether B or C_mid is at a bound, where it is not known."""

    def at(self, compute: Floats) -> Floats:
        """[D, N]: the curves at N amounts of compute, all positive."""
        share = _share(np.log(compute), np.log(self.midpoint), np.log(self.steepness))
        return self.start[:, None] + (self.asymptote - self.start)[:, None] * share

    def compute_at(self, level: float) -> Floats:
        """[D]: the compute at which a value is reached; nan where it is not between R0 and A."""
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = (level - self.start) / (self.asymptote - level)
            return np.where(odds > 0, self.midpoint * odds ** (1 / self.steepness), np.nan)


def fit(
    compute: Floats, values: Floats, weights: Floats, start: Floats, ceiling: float | None
) -> Saturation:
    """The curves that fit D draws best.

    compute: [N], positive. values, weights: [D, N], weights not negative and not all 0. start: [D].
    ceiling: the largest value that the metric can have; None where it has none. The same input
    always gives the same curves.
    """
    lx = np.log(compute)
    gains = values - start[:, None]
    if ceiling is None:
        most = FREE_GAIN * np.maximum(gains.max(axis=1), 1e-12)
    else:
        most = np.maximum(ceiling - start, 0.0)
    reach = np.log(BEYOND)
    low = np.array([lx.min() - reach, np.log(STEEPNESS[0])])
    high = np.array([lx.max() + reach, np.log(STEEPNESS[1])])
    place = _refined(lx, gains, weights, most, low, high)
    gain, _ = _best_gain(gains, weights, most, _share(lx, place[:, 0], place[:, 1]))
    edge = np.asarray(((place < low + _EDGE) | (place > high - _EDGE)).any(axis=1))
    middle, steepness = np.exp(place[:, 0]), np.exp(place[:, 1])
    return Saturation(start, start + gain, steepness, middle, edge)


def _share(lx: Floats, middle: Floats, log_b: Floats) -> Floats:
    """[D, N]: the share of the gain that is reached. lx: log C [N]; the others [D]."""
    slope = np.exp(log_b)[:, None]
    return np.asarray(1 / (1 + np.exp(np.clip(slope * (middle[:, None] - lx), -60, 60))))


def _best_gain(
    gains: Floats, weights: Floats, most: Floats, share: Floats
) -> tuple[Floats, Floats]:
    """[D] A - R0 within its bounds, and [D] the sum of squares that remains."""
    along = (weights * gains * share).sum(axis=1)
    square = (weights * share * share).sum(axis=1)
    gain = np.clip(along / np.maximum(square, 1e-300), 0.0, most)
    return gain, (weights * gains**2).sum(axis=1) - 2 * gain * along + gain**2 * square


def _grid_start(
    lx: Floats, gains: Floats, weights: Floats, most: Floats, low: Floats, high: Floats
) -> Floats:
    """[D, 2]: log C_mid and log B of the grid's best curve for each draw."""
    slopes, middles = (
        np.linspace(low[axis], high[axis], count) for axis, count in ((1, _GRID[0]), (0, _GRID[1]))
    )
    points = np.stack(np.meshgrid(middles, slopes, indexing="ij"), axis=-1).reshape(-1, 2)
    share = _share(lx, points[:, 0], points[:, 1])
    along = (weights * gains) @ share.T
    square = weights @ (share * share).T
    gain = np.clip(along / np.maximum(square, 1e-300), 0.0, most[:, None])
    return np.asarray(points[(gain * gain * square - 2 * gain * along).argmin(axis=1)])


def _refined(
    lx: Floats, gains: Floats, weights: Floats, most: Floats, low: Floats, high: Floats
) -> Floats:
    """[D, 2]: log C_mid and log B after the iteration, which never accepts a worse curve."""
    place = _grid_start(lx, gains, weights, most, low, high)
    gain, loss = _best_gain(gains, weights, most, _share(lx, place[:, 0], place[:, 1]))
    damping = np.full(len(place), 1e-2)
    going = np.arange(len(place))
    for _ in range(_ITERATIONS):
        here, of, weigh, at_most = place[going], gains[going], weights[going], most[going]
        share = _share(lx, here[:, 0], here[:, 1])
        bend = gain[going, None] * share * (1 - share) * np.exp(here[:, 1])[:, None]
        slopes = np.stack([share, -bend, bend * (lx - here[:, :1])], axis=2)
        weighed = weigh[:, :, None] * slopes
        normal = np.swapaxes(slopes, 1, 2) @ weighed
        size = damping[going, None] * np.einsum("dii->di", normal)
        damped = normal + (size + 1e-12)[:, :, None] * np.eye(3)
        away = np.einsum("dnk,dn->dk", weighed, of - gain[going, None] * share)
        step = np.linalg.solve(damped, away[:, :, None])[:, 1:, 0]
        tried = np.clip(here + np.clip(step, -1.0, 1.0), low, high)
        new_gain, new_loss = _best_gain(of, weigh, at_most, _share(lx, tried[:, 0], tried[:, 1]))
        saved = loss[going] - new_loss
        better = saved > 0
        settled = better & (saved <= _SETTLED * loss[going])
        moved = going[better]
        place[moved], gain[moved], loss[moved] = tried[better], new_gain[better], new_loss[better]
        damping[going] = np.where(better, damping[going] / 4, damping[going] * 6)
        going = going[~settled & (damping[going] < _STUCK)]
        if not len(going):
            break
    return place
