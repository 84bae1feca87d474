"""A study small enough to run inside a test."""

from conspo_study.config import with_overrides
from conspo_study.definition import Anchor, StudyDefinition
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice, When
from conspo_study.results.memory_log import MemoryLog

__all__ = ["MARGIN", "METRIC", "SCHEDULE", "TAU", "MemoryLog", "definition"]

TAU, MARGIN, SCHEDULE = "objective.tau", "objective.margin", "objective.schedule"
METRIC = "eval/chain/hard/avg@2"


def definition(cls=StudyDefinition, **changes):
    """Two anchors, then a search over eight settings."""
    fields = {
        "name": "test",
        "base": with_overrides(QUICK, {"policy.warm_start_steps": 20}),
        "space": {
            TAU: Choice(values=(0.1, 1.0)),
            MARGIN: Choice(values=(0.0, 1.0, 5.0)),
            SCHEDULE: Choice(
                values=("cosine", "constant"), when=When(path=MARGIN, values=(1.0, 5.0))
            ),
        },
        "anchors": (
            Anchor(label="paper", params={TAU: 10.0, MARGIN: 0.001, SCHEDULE: "cosine"}),
            Anchor(label="no margin", params={TAU: 1.0, MARGIN: 0.0}),
        ),
        "trials": 6,
        "seeds": (0, 1),
        "metric": METRIC,
    }
    return cls(**{**fields, **changes})
