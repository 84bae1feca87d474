"""Definition of a study: space, baselines, budget, seeds, metric, confirmation.

Floor: above `config` and `data`. `presets` and `paper_runs` hold configurations to start from.
"""

from conspo_study.definition.batches import Batch, confirmation_batch, search_batch
from conspo_study.definition.comparisons import Comparisons
from conspo_study.definition.halving import Halving
from conspo_study.definition.parts import Aim, Anchor, Confirmation, EarlyStopping, Sampler
from conspo_study.definition.space import Choice, Dimension, Range, Space, Value, When
from conspo_study.definition.study import StudyDefinition, definition_problems

__all__ = [
    "Aim",
    "Anchor",
    "Batch",
    "Choice",
    "Comparisons",
    "Confirmation",
    "Dimension",
    "EarlyStopping",
    "Halving",
    "Range",
    "Sampler",
    "Space",
    "StudyDefinition",
    "Value",
    "When",
    "confirmation_batch",
    "definition_problems",
    "search_batch",
]
