"""Preparing a policy for training: a warm start, a download, a conversion, or a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from conspo_study.config import PolicyConfig
from conspo_study.policy.models import EMBEDDED
from conspo_study.text import speak_plainly

OnProgress = Callable[[int, int, float], None]


def prepare_policy(config: PolicyConfig, on_progress: OnProgress | None = None) -> Path:
    """The folder to load the policy from.

    The embedded model's warm start is cached; `on_progress(step, steps, loss)` is called while one
    that does not come with the package is trained. A model of the hub is downloaded, and a GGUF
    file converted, once. Safe to call from many processes at once. Raises ValueError, OSError or
    ModuleNotFoundError, with a message of one line, when the policy is not available, or each seed
    has one of its own: those are `prepare_policies`.
    """
    if config.model != EMBEDDED:
        from conspo_study.policy.sources import model_folder

        return model_folder(config)
    if config.warm_start_seed == "seed":
        raise ValueError("every seed has a warm start of its own: ask for that of one seed")
    from conspo_study.data.arithmetic import demonstrations
    from conspo_study.policy.warm_start import warm_start

    return warm_start(
        demonstrations,
        steps=config.warm_start_steps,
        seed=config.warm_start_seed,
        on_progress=on_progress,
    )


def prepare_policies(
    config: PolicyConfig, seeds: Sequence[int], on_progress: OnProgress | None = None
) -> dict[int, Path]:
    """The folder of the policy that each seed begins with: mostly the same one. As
    `prepare_policy`, one policy after the other."""
    folders: dict[PolicyConfig, Path] = {}
    for policy in map(config.at_seed, seeds):
        if policy not in folders:
            folders[policy] = prepare_policy(policy, on_progress)
    return {seed: folders[config.at_seed(seed)] for seed in seeds}


def ship_warm_start() -> None:
    """Train the default warm start and make it the one that comes with the package."""
    from conspo_study.data.arithmetic import demonstrations
    from conspo_study.policy.embedded import embedded_tokenizer
    from conspo_study.policy.shipped import PATH, ship
    from conspo_study.policy.warm_start import fingerprint, train

    config = PolicyConfig()
    steps, seed = config.warm_start_steps, config.warm_start_seed
    assert isinstance(seed, int)
    model = train(embedded_tokenizer(), demonstrations, steps, seed, _show)
    ship(model, fingerprint(demonstrations, steps, seed))
    print(f"wrote {PATH}")


def _show(step: int, steps: int, loss: float) -> None:
    print(f"step {step} of {steps}, loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    speak_plainly()
    ship_warm_start()
