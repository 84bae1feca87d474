"""Models by name: which folder holds one, and what tells it from every other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from conspo_study.config import PolicyConfig

EMBEDDED = "embedded"


class AnotherModelError(RuntimeError):
    """The policy's name stands for another model than when the study began."""


def local_folder(config: PolicyConfig, *, insist: bool = False) -> Path | None:
    """What `prepare_policy` would return, where that needs neither work nor a network; else None.
    The embedded model's is not looked for. insist: raise what `prepare_policy` would raise, where
    that is known as easily."""
    if config.model == EMBEDDED:
        return None
    from conspo_study.policy.sources import folder_at_hand, refuse_unreachable

    if insist:
        refuse_unreachable(config)
    return folder_at_hand(config)


def model_hashes(policies: Iterable[PolicyConfig]) -> dict[str, str]:
    """What tells the model of each policy from every other one, by `policy.model <name>`.

    The embedded model has no entry: the configuration and the code determine it. Raises what
    `prepare_policy` raises.
    """
    from conspo_study.policy.sources import model_identity

    return {_entry(p): model_identity(p) for p in policies if p.model != EMBEDDED}


def refuse_another_model(policy: PolicyConfig, hashes: Mapping[str, str]) -> None:
    """Raise AnotherModelError where this machine has another model under the policy's name than
    `hashes`, which `model_hashes` has found elsewhere or before, says. What it says nothing of
    passes."""
    expected = hashes.get(_entry(policy))
    if expected is not None and model_hashes([policy])[_entry(policy)] != expected:
        raise AnotherModelError(
            f"policy.model: {policy.model} is another model here and now than when the study "
            "began: give all nodes the same, or name the revision (org/name@commit)"
        )


def _entry(policy: PolicyConfig) -> str:
    return f"policy.model {policy.model}"
