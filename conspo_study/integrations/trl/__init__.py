"""ConSPO and every other objective of this package in TRL's `GRPOTrainer`, by a subclass.

    from trl import GRPOTrainer
    from conspo_study.integrations.trl import with_objective

    trainer = with_objective(GRPOTrainer, "conspo", tau=0.5, margin=0.1)(model, ...)

`ConSPOTrainer` is `with_objective(GRPOTrainer, "conspo")`, with the settings of the paper. TRL is
imported for that name only, so the parts of this package can be used and tested without it.
"""

from typing import Any

from conspo_study.integrations.trl.trainer import with_objective

__all__ = ["ConSPOTrainer", "with_objective"]


def __getattr__(name: str) -> Any:
    if name != "ConSPOTrainer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from trl import GRPOTrainer

    globals()[name] = with_objective(GRPOTrainer, "conspo")
    return globals()[name]
