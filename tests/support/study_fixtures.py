"""A study small enough to run inside a test."""

from conspo_study.config import with_overrides
from conspo_study.definition import Anchor, StudyDefinition
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice, When
from conspo_study.results.lines import encode_line
from conspo_study.results.table import TableBuilder

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


class MemoryLog:
    """A results log without a disk: what is appended went through its line format."""

    def __init__(self, events=()):
        self.events = list(events)
        self._builder = TableBuilder(self.events)

    @property
    def table(self):
        return self._builder.table

    def append(self, event):
        _, logged = encode_line(len(self.events) + 1, "2026-01-01T00:00:00.000Z", event)
        self._builder.add(logged)
        self.events.append(logged)
        return logged
