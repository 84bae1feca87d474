"""Models by name: the local folder of a model, and a hash that identifies it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from conspo_study.config import PolicyConfig

EMBEDDED = "embedded"


class AnotherModelError(RuntimeError):
    """A policy's name refers to another model than when the study began."""


def local_folder(config: PolicyConfig, *, insist: bool = False) -> Path | None:
    """The folder that `prepare_policy` would return if that needs neither work nor a network; else
    None, also for the embedded model.

    insist: raise the errors of `prepare_policy` that can be detected without work or a network.
    """
    if config.model == EMBEDDED:
        return None
    from conspo_study.policy.sources import folder_at_hand, refuse_unreachable

    if insist:
        refuse_unreachable(config)
    return folder_at_hand(config)


def model_hashes(policies: Iterable[PolicyConfig]) -> dict[str, str]:
    """The identity of each policy's model (see `model_identity`), by `policy.model <name>`.

    The embedded model has no entry: configuration and code determine it. Raises the errors of
    `prepare_policy`.
    """
    from conspo_study.policy.sources import model_identity

    return {_entry(p): model_identity(p) for p in policies if p.model != EMBEDDED}


def refuse_another_model(policy: PolicyConfig, hashes: Mapping[str, str]) -> None:
    """Raise AnotherModelError if this machine's model under the policy's name differs from
    `hashes`, the result of `model_hashes` elsewhere or earlier. Models without an entry pass."""
    expected = hashes.get(_entry(policy))
    if expected is not None and model_hashes([policy])[_entry(policy)] != expected:
        raise AnotherModelError(
            f"policy.model: {policy.model} is another model on this machine than when the study "
            "began: give all nodes the same model, or name its revision (org/name@commit)"
        )


def _entry(policy: PolicyConfig) -> str:
    return f"policy.model {policy.model}"
