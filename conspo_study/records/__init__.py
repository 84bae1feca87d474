"""The types that cross wings: plain, frozen, free of heavy libraries.

Problems, rollouts and verdicts; metrics in parts; the events of the results log.
"""

from conspo_study.records.bars import (
    Bar,
    PairedBar,
    misses_bar,
    read_bar,
    threshold_of,
    written_bar,
)
from conspo_study.records.bounds import decided_name, is_decided_name, undecided_name
from conspo_study.records.events import (
    Collapse,
    EventKind,
    StudyError,
    TrialEvent,
    TrialRole,
    TrialState,
)
from conspo_study.records.metrics import (
    Angle,
    Correlation,
    Least,
    Mean,
    Part,
    Peak,
    Quantile,
    Spread,
    add_parts,
    is_number,
)
from conspo_study.records.problem_sets import CHAIN, GENERATED, is_generated, set_name, set_source
from conspo_study.records.rollouts import (
    GREEDY,
    Answered,
    CreditRow,
    EvalRow,
    FinishStatus,
    Group,
    Judgement,
    Problem,
    Rollout,
    RolloutRow,
    Verdict,
)

__all__ = [
    "CHAIN",
    "GENERATED",
    "GREEDY",
    "Angle",
    "Answered",
    "Bar",
    "Collapse",
    "Correlation",
    "CreditRow",
    "EvalRow",
    "EventKind",
    "FinishStatus",
    "Group",
    "Judgement",
    "Least",
    "Mean",
    "PairedBar",
    "Part",
    "Peak",
    "Problem",
    "Quantile",
    "Rollout",
    "RolloutRow",
    "Spread",
    "StudyError",
    "TrialEvent",
    "TrialRole",
    "TrialState",
    "Verdict",
    "add_parts",
    "decided_name",
    "is_decided_name",
    "is_generated",
    "is_number",
    "misses_bar",
    "read_bar",
    "set_name",
    "set_source",
    "threshold_of",
    "undecided_name",
    "written_bar",
]
