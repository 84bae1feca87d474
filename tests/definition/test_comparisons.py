"""Declared comparisons are checked and frozen with the study; those of the shipped studies hold."""

import importlib.util
from pathlib import Path

import pytest
from study_fixtures import MARGIN, TAU, definition

from conspo_study.definition import Anchor, Comparisons, StudyDefinition
from conspo_study.definition.comparisons import declared
from conspo_study.definition.presets import EMBEDDED
from conspo_study.statistics.family import study_family

STUDIES = Path(__file__).resolve().parents[2] / "studies"
SHIPPED = {
    "ablation": ("ConSPO", 4),
    "baselines": ("ConSPO", 9),
    "baselines_learning_rate": ("ConSPO, lr 0.0003", 9),
    "contrast": ("ConSPO", 2),
    "group_size_sweep": ("G 16, 8 prompts", 6),
    "parameter_study": ("center", 10),
    "temperature_sweep": ("tau 30", 6),
}


def labels(study: StudyDefinition) -> list[str]:
    return [anchor.label for anchor in study.anchors]


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        ({"reference": "papr"}, "no anchor is called 'papr' (did you mean 'paper'?); known: paper"),
        ({"reference": "paper", "against": ("x",)}, "compare: no anchor is called 'x'; known:"),
        ({"reference": "paper", "against": ("paper",)}, "is not compared with itself"),
        (
            {"reference": "paper", "against": ("no margin", "no margin")},
            "a label is compared once",
        ),
        ({"reference": "paper", "against": ()}, "at least 1 item"),
        ({"reference": "paper", "correction": "tukey"}, "'holm' or 'dunnett'"),
        ({"reference": "paper", "equivalence": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_can(compare, message):
    with pytest.raises(ValueError) as caught:
        definition(compare=compare)
    assert message in str(caught.value)


def test_a_study_of_one_anchor_has_nothing_to_compare():
    anchors = (Anchor(label="paper", params={TAU: 10.0, MARGIN: 0.001}),)
    with pytest.raises(ValueError, match="with nothing to compare it with"):
        definition(anchors=anchors, compare={"reference": "paper"})


def test_without_a_declaration_the_hash_is_that_of_before():
    frozen = definition().frozen()
    assert "compare" not in frozen
    assert StudyDefinition.model_validate(frozen).hash == definition().hash
    assert definition(compare=Comparisons(reference="paper")).hash != definition().hash


def test_a_declaration_is_stored_and_read_again():
    compare = Comparisons(reference="paper", correction="dunnett", equivalence=0.01)
    study = definition(compare=compare)
    again = StudyDefinition.model_validate(study.frozen())
    assert again.compare == compare and again.hash == study.hash
    family = study_family(labels(study), study.frozen()["compare"])
    assert family == study_family(labels(study), declared(compare))
    assert (family.pairs, family.margin) == ((("no margin", "paper"),), 0.01)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_comparisons_have_a_reference(name):
    spec = importlib.util.spec_from_file_location(f"shipped_{name}", STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    study = getattr(module, name)(EMBEDDED)
    family = study_family(labels(study), declared(study.compare))
    assert (family.reference, family.size) == SHIPPED[name]
    rates = [
        {anchor.params.get("update.learning_rate") for anchor in study.anchors if anchor.label in p}
        for p in family.pairs
    ]
    assert all(len(found) == 1 for found in rates), "methods are compared at one learning rate"
