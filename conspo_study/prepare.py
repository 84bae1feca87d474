"""Getting a policy ready to be trained: a warm start, a download, a conversion, or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from conspo_study.config import PolicyConfig
from conspo_study.results.terminal import speak_plainly

EMBEDDED = "embedded"
OnProgress = Callable[[int, int, float], None]


class AnotherModelError(RuntimeError):
    """The policy's name stands for another model than when the study began."""


def prepare_policy(config: PolicyConfig, on_progress: OnProgress | None = None) -> Path:
    """The folder to load the policy from.

    The embedded model's warm start is cached; `on_progress(step, steps, loss)` is called where one
    that does not come with the package is trained. A model of the hub is downloaded, and a GGUF
    file converted, once. Safe to call from many processes at once. Raises ValueError, OSError or
    ModuleNotFoundError in one line when the policy cannot be had.
    """
    if config.model != EMBEDDED:
        from conspo_study.policy.sources import model_folder

        return model_folder(config)
    from conspo_study.data.arithmetic import demonstrations
    from conspo_study.policy.warm_start import warm_start

    return warm_start(
        demonstrations,
        steps=config.warm_start_steps,
        seed=config.warm_start_seed,
        on_progress=on_progress,
    )


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


def ship_warm_start() -> None:
    """Train the default warm start and make it the one that comes with the package."""
    from conspo_study.data.arithmetic import demonstrations
    from conspo_study.policy.embedded import embedded_tokenizer
    from conspo_study.policy.shipped import PATH, ship
    from conspo_study.policy.warm_start import fingerprint, train

    config = PolicyConfig()
    steps, seed = config.warm_start_steps, config.warm_start_seed
    model = train(embedded_tokenizer(), demonstrations, steps, seed, _show)
    ship(model, fingerprint(demonstrations, steps, seed))
    print(f"wrote {PATH}")


def _show(step: int, steps: int, loss: float) -> None:
    print(f"step {step} of {steps}, loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    speak_plainly()
    ship_warm_start()
