"""A difference with its standard error, from which interval, test and power follow alike."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

from conspo_study.statistics.power import ALPHA, POWER, detectable_shift


@dataclass(frozen=True, slots=True)
class Contrast:
    """An estimate whose error follows Student's t."""

    value: float
    error: float
    """Its standard error, not negative."""
    freedom: float
    """Degrees of freedom of the standard error."""

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Ends of the two-sided interval."""
        half = float(stdtrit(self.freedom, (1 + confidence) / 2)) * self.error
        return self.value - half, self.value + half

    @property
    def p_value(self) -> float | None:
        """Of the two-sided t-test that the truth is zero; None without an error."""
        if self.error == 0:
            return None
        return 2 * float(stdtr(self.freedom, -abs(self.value) / self.error))

    def detectable(self, alpha: float = ALPHA, target: float = POWER) -> float:
        """The smallest true difference that the test at level alpha finds with probability
        `target`, with this error."""
        return self.error * detectable_shift(self.freedom, alpha, target)
