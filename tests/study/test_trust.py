"""A results directory runs code only for whoever allows it; which code is said before."""

import json

import pytest
from study_fixtures import TAU, definition

from conspo_study.commands.command_line import main
from conspo_study.config import with_overrides
from conspo_study.definition import Anchor
from conspo_study.study import Study, UntrustedCode
from conspo_study.study.next_steps import after_a_stop, after_the_end
from conspo_study.study.trust import code_named, remote_models

MODULE = """
import pathlib
pathlib.Path({mark!r}).touch()
def loss(batch, options, progress): ...
def reward(answered): ...
"""


@pytest.fixture
def stored(tmp_path, place):
    """Writes study.json with a changed definition; returns the folder and what an import leaves."""
    mark = tmp_path / "was imported"
    place("foreign_code.py", MODULE.format(mark=str(mark)))

    def write(change):
        folder = tmp_path / "results"
        folder.mkdir()
        frozen = definition().frozen()
        change(frozen)
        content = {"schema": 1, "name": "test", "hash": "x", "data": {}, "definition": frozen}
        (folder / "study.json").write_text(json.dumps(content))
        return folder, mark

    return write


def set_in(*places):
    *outer, last, value = places

    def change(frozen):
        inner = frozen
        for name in outer:
            inner = inner[name]
        inner[last] = value

    return change


WAYS = {
    "a plugin": set_in("plugins", ["foreign_code"]),
    "an objective": set_in("base", "objective", {"name": "foreign_code:loss"}),
    "a reward": set_in("base", "reward", "name", "foreign_code:reward"),
    "an added reward": set_in("base", "reward", "extra", {"foreign_code:reward": 0.5}),
    "a reward of the evaluation": set_in("base", "evaluation", "reward", "foreign_code:reward"),
    "an anchor": set_in("anchors", 0, "params", {"reward.name": "foreign_code:reward"}),
    "a choice": set_in(
        *("space", "objective.name"),
        {"kind": "choice", "values": ["grpo", "foreign_code:loss"], "when": None},
    ),
    "a confirmation": set_in(
        *("confirm", {"overrides": {"evaluation.reward": "foreign_code:reward"}, "seeds": [7]})
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", [["resume"], ["extend", "--trials", "9"], ["plan"]])
def test_nothing_is_imported_unless_it_is_allowed(way, verb, stored, capsys):
    folder, mark = stored(WAYS[way])
    assert main([verb[0], str(folder), *verb[1:]]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "would run code that its study.json names: the module foreign_code" in said
    typed = " ".join(["conspo", verb[0], str(folder), *verb[1:], "--trust-code"])
    assert said.endswith(f"If you trust it: {typed}")
    with pytest.raises(UntrustedCode, match="trust_code=True"):
        Study.of_folder(folder)
    assert not mark.exists()


@pytest.mark.parametrize("way", ["a plugin", "an objective", "a choice"])
def test_with_permission_it_is_imported(way, stored):
    folder, mark = stored(WAYS[way])
    try:
        Study.of_folder(folder, trust_code=True)
    except Exception as error:  # the definition may be of no use otherwise
        assert "trust" not in str(error)
    assert mark.exists()


def test_a_function_that_is_imported_already_needs_permission_too(stored, capsys):
    folder, _ = stored(set_in("base", "reward", "name", "os:system"))
    assert main(["resume", str(folder)]) == 2
    assert "the module os." in " ".join(capsys.readouterr().err.split())


def test_what_was_typed_is_kept(stored, capsys):
    folder, _ = stored(WAYS["a plugin"])
    main(["resume", str(folder), "--allow-changes", "--takeover"])
    assert "--takeover --allow-changes --trust-code" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        set_in("base", "policy", "trust_remote_code", True),
        set_in("base", "policy", "trust_remote_code", 1),
        set_in("anchors", 0, "params", {"policy.trust_remote_code": True}),
        set_in("space", "policy.trust_remote_code", {"kind": "choice", "values": [False, True]}),
    ],
)
def test_a_model_that_brings_code_is_named(change, stored, capsys):
    folder, _ = stored(change)
    path = folder / "study.json"
    content = json.loads(path.read_text())
    content["definition"]["base"]["policy"]["model"] = "strangers/model"
    path.write_text(json.dumps(content))
    assert main(["resume", str(folder)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the code that comes with the model strangers/model (policy.trust_remote_code)" in said


def test_all_models_that_may_run_code_are_named():
    policy = {"model": "a/one", "trust_remote_code": True}
    space = {"policy.model": {"kind": "choice", "values": ["b/two", "c/three"]}}
    assert remote_models({"base": {"policy": policy}, "space": space}) == [
        *("a/one", "b/two", "c/three"),
    ]


def test_a_name_cannot_move_the_cursor():
    assert code_named({"plugins": ["a\x1b[2J"]}) == [r"the module a\x1b[2J"]


def test_ordinary_studies_need_no_permission(tmp_path):
    base = with_overrides(definition().base, {"data.template": "Q:{problem}", "data.chat": "off"})
    study = definition(base=base, anchors=(Anchor(label="tau:low", params={TAU: 0.1}),))
    assert code_named(json.loads(json.dumps(study.frozen()))) == []


def test_the_commands_that_a_study_with_own_code_prints_are_allowed_to_run_it(stored):
    folder, _ = stored(WAYS["an objective"])
    assert after_a_stop(folder)[0].endswith(" --trust-code")
    longer = [line for line in after_the_end(folder, 6) if "conspo extend" in line]
    assert len(longer) == 1 and "--trials " in longer[0] and "--trust-code" in longer[0]
