r"""Measures both errors of the verifier, and of other graders on the same answers.

    python benchmarks/reward_integrity.py FILE.jsonl... [--golds 237] [--json results.json]

Rows need `answer`, and `problem` for echoes. From their gold answers are made: rewrites that change
no meaning (which must be accepted), one-token mutations (which must not), expressions copied from
the problem's text, and attempts to be paid without an answer, for gold answers that are numbers.
The answers of `--cases` (rows with `gold`, `response`, `expected`) are graded beside them.

Graders: ours, math-verify as a user calls it, and those of TRL and verl (among them DAPO's rule and
PRIME's, which is like DeepScaleR's and Qwen2.5-Math's) where their packages lie on the path. A
grader that raises an exception has not accepted. Ours knows the problem's text for echoes; the
others have no way to be told.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import random
import sys
import types
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness import parser, write
from reward_attacks import EXPLOITS, REWRITES, boxed, echoes, mutations

from conspo_study.config import RewardConfig
from conspo_study.records import Answered, Problem, Verdict
from conspo_study.reward import Verifier

Asked = tuple[str, str, str]
"""Problem, gold answer and response."""
Grader = Callable[[Sequence[Asked]], list[bool]]
SEED = 20261129


def ours(verifier: Verifier) -> Grader:
    """Whether the verifier's verdict is `correct`."""

    def grade(asked: Sequence[Asked]) -> list[bool]:
        answered = [
            Answered(Problem("", problem, gold), "", response) for problem, gold, response in asked
        ]
        return [j.verdict is Verdict.CORRECT for j in verifier.judge(answered)]

    return grade


def one_by_one(grade: Callable[[str, str], bool]) -> Grader:
    """A grader from a function of gold answer and response."""

    def grade_all(asked: Sequence[Asked]) -> list[bool]:
        results = []
        for _, gold, response in asked:
            try:
                results.append(bool(grade(gold, response)))
            except Exception:  # a grader that fails has not accepted
                results.append(False)
        return results

    return grade_all


def others() -> dict[str, Grader]:
    """The graders that are installed."""
    from math_verify import parse, verify

    graders = {
        "math-verify": one_by_one(
            lambda gold, response: verify(parse(rf"\boxed{{{gold}}}"), parse(response))
        )
    }
    try:
        from trl.rewards import accuracy_reward
    except ImportError:
        pass
    else:
        graders["TRL accuracy_reward"] = one_by_one(
            lambda gold, response: (
                accuracy_reward([[{"content": response}]], [rf"\boxed{{{gold}}}"])[0] == 1.0
            )
        )
    if (math_verify := _verl("math_verify")) is not None:
        graders["verl math_verify"] = one_by_one(
            lambda gold, response: (
                math_verify._verify_in_subprocess(rf"\boxed{{{gold}}}", response) == 1.0
            )
        )
    if (dapo := _verl("math_dapo")) is not None:
        graders["verl math_dapo"] = one_by_one(
            lambda gold, response: dapo.compute_score(response, gold, strict_box_verify=True)["acc"]
        )
    if (prime := _verl("prime_math")) is not None:
        graders["verl prime_math"] = one_by_one(
            lambda gold, response: prime.compute_score(response, gold)[0]
        )
    return graders


@cache
def _verl_folder() -> str | None:
    """Where verl's package is; its modules then load without its `__init__`."""
    found = importlib.util.find_spec("verl")
    if found is None or not found.submodule_search_locations:
        return None
    (folder,) = found.submodule_search_locations
    places = {"verl": "", "verl.utils": "/utils", "verl.utils.reward_score": "/utils/reward_score"}
    for package, place in places.items():
        module = types.ModuleType(package)
        module.__path__ = [folder + place]
        sys.modules[package] = module
    return folder


def _verl(name: str) -> Any:
    """A module of verl's graders without the trainer around them; None if it does not load."""
    if _verl_folder() is None:
        return None
    try:
        return importlib.import_module(f"verl.utils.reward_score.{name}")
    except ImportError as error:
        print(f"verl's {name} does not load: {error}")
        return None


def questions(rows: Sequence[dict[str, Any]], count: int, wrong: int) -> dict[str, dict[str, Any]]:
    """The answers of each kind, and whether they are right, from up to `count` gold answers and
    with up to `wrong` mutations."""
    rng = random.Random(SEED)
    sample = rng.sample(list(rows), min(count, len(rows)))
    rewritten: dict[str, list[Asked]] = {name: [] for name in REWRITES}
    for row in sample:
        gold = row["answer"]
        for name, rewrite in REWRITES.items():
            if (response := rewrite(gold)) is not None:
                rewritten[name].append(("", gold, response))
    per_gold = -(-wrong // len(rows))
    mutated = [
        ("", row["answer"], boxed(answer))
        for row in rows
        for answer in mutations(row["answer"], rng, per_gold)
    ][:wrong]
    copied = [
        (row["problem"], row["answer"], boxed(part))
        for row in rows
        for part in echoes(row["problem"], row["answer"])
    ]
    numbers = [row["answer"] for row in sample if row["answer"].isdigit()]
    numbers = [gold for gold in numbers if int(gold) > 1 and len(gold) < 8]
    tried = {
        name: [("", gold, exploit(gold)) for gold in numbers[:20]]
        for name, exploit in EXPLOITS.items()
    }
    return {
        "rewrites": {"right": True, "asked": rewritten},
        "mutations": {"right": False, "asked": {"one token": mutated}},
        "echoes": {"right": False, "asked": {"expressions of the problem": copied}},
        "exploits": {"right": False, "asked": tried},
    }


def told(name: str, grade: Grader, kinds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Counts of one grader by kind, printed in a line each; the worst names behind them."""
    result: dict[str, Any] = {}
    for kind, content in kinds.items():
        accepted: dict[str, tuple[int, int]] = {}
        examples: list[str] = []
        paid_problems: set[tuple[str, str]] = set()
        for group, asked in content["asked"].items():
            grades = grade(asked)
            accepted[group] = sum(grades), len(grades)
            mistaken = [a for a, g in zip(asked, grades, strict=True) if g != content["right"]]
            examples += [f"{group}: {gold} <- {response}" for _, gold, response in mistaken[:3]]
            paid_problems.update((problem, gold) for problem, gold, _ in mistaken)
        total = sum(count for _, count in accepted.values())
        yes = sum(count for count, _ in accepted.values())
        mistakes = total - yes if content["right"] else yes
        worst = Counter(
            {
                group: (count - got if content["right"] else got)
                for group, (got, count) in accepted.items()
            }
        )
        named = ", ".join(f"{group} {count}" for group, count in worst.most_common(4) if count)
        share = 100 * mistakes / max(1, total)
        print(f"{name:20s} {kind:10s} {mistakes:6d} of {total:6d} wrongly {share:6.2f} %  {named}")
        result[kind] = {
            "graded": total,
            "mistakes": mistakes,
            "problems": len(paid_problems),
            "by_group": accepted,
            "examples": examples[:60],
        }
    return result


def cases_of(path: Path) -> dict[str, dict[str, Any]]:
    """Labelled rows as two kinds, right and wrong answers."""
    kinds: dict[str, dict[str, Any]] = {
        name: {"right": right, "asked": {"cases": []}}
        for name, right in (("right", True), ("wrong", False))
    }
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row.get("gold") is not None:
            kind = kinds["right" if row["expected"] else "wrong"]
            kind["asked"]["cases"].append(("", row["gold"], row["response"]))
    return kinds


def main() -> None:
    """Grade and print."""
    options = parser(__doc__, runs=1)
    options.add_argument("files", nargs="+", type=Path, help="problem sets, JSON lines")
    options.add_argument("--golds", type=int, default=237, help="gold answers that are rewritten")
    options.add_argument("--mutations", type=int, default=10_000)
    options.add_argument("--cases", type=Path, help="labelled answers, JSON lines")
    options.add_argument("--alone", action="store_true", help="without the other graders")
    arguments = options.parse_args()
    logging.disable(logging.CRITICAL)  # math-verify logs each time-out with its answer
    result: dict[str, Any] = {}
    with Verifier(RewardConfig(workers=2)) as verifier:
        graders = {"ours": ours(verifier)} | ({} if arguments.alone else others())
        for path in arguments.files:
            rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            rows = [{**row, "answer": str(row["answer"])} for row in rows]
            kinds = questions(rows, arguments.golds, arguments.mutations)
            print(f"\n{path.name}: {len(rows)} problems")
            result[path.stem] = {name: told(name, g, kinds) for name, g in graders.items()}
        if arguments.cases:
            print(f"\n{arguments.cases.name}")
            kinds = cases_of(arguments.cases)
            result["cases"] = {name: told(name, g, kinds) for name, g in graders.items()}
    write(arguments.json, result)


if __name__ == "__main__":
    main()
