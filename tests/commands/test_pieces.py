"""`--only`: a part of a study's anchors as a study of its own."""

import pytest
from study_fixtures import TAU, definition

from conspo_study.commands.pieces import piece_of
from conspo_study.definition import Anchor, Comparisons, Confirmation, StudyDefinition
from conspo_study.records import StudyError

LABELS = ("GRPO, E1, lr x1", "GRPO, E16, lr x1", "linear, E1, lr x1", "linear, E16, lr x2")


def study(**changes):
    anchors = [
        Anchor(label=label, params={TAU: 1.0 + number}) for number, label in enumerate(LABELS)
    ]
    return definition(**{"anchors": tuple(anchors), "trials": 6, **changes})


def labels(changes):
    return [anchor["label"] for anchor in changes["anchors"]]


def test_a_piece_has_the_anchors_of_one_part_and_a_name_of_its_own():
    changes = piece_of(study(), [("E1",)])
    assert labels(changes) == ["GRPO, E1, lr x1", "linear, E1, lr x1"], "E1 is no part of E16"
    assert (changes["name"], changes["trials"]) == ("test_E1", 4), "two of them are searched"
    piece = StudyDefinition.model_validate({**study().frozen(), **changes})
    assert [anchor.label for anchor in piece.anchors] == labels(changes)


def test_a_piece_has_one_name_however_it_is_typed():
    assert piece_of(study(), [("e16",), ("LINEAR",)])["name"] == "test_E16_linear"


def test_parts_of_one_group_add_and_groups_restrict():
    assert labels(piece_of(study(), [("E1", "e16")])) == list(LABELS)
    assert labels(piece_of(study(), [("LINEAR",), ("lr x2", "lr x1"), ("E16",)])) == [LABELS[3]]


def test_confirmed_anchors_that_go_are_no_longer_named():
    named = study(confirm=Confirmation(seeds=(9,), anchors=(LABELS[0], LABELS[3])))
    assert piece_of(named, [("GRPO",)])["confirm"]["anchors"] == [LABELS[0]]
    assert "confirm" not in piece_of(study(confirm=Confirmation(seeds=(9,))), [("GRPO",)])


@pytest.mark.parametrize(
    ("only", "what"),
    [([("E2",)], "no anchor has E2 in"), ([("GRPO",), ("lr x2",)], "no anchor has all of that")],
)
def test_a_piece_without_anchors_is_refused_and_the_parts_are_named(only, what):
    with pytest.raises(StudyError, match=what) as caught:
        piece_of(study(), only)
    assert "GRPO, E1, lr x1, E16, linear, lr x2" in str(caught.value)


def compared(against=None, **fields):
    compare = Comparisons(reference=LABELS[2], against=against, equivalence=0.03)
    return study(compare=compare, **fields)


def test_a_piece_keeps_the_declared_comparisons_of_what_stays():
    declared = compared((LABELS[0], LABELS[1]))
    changes = piece_of(declared, [("E1",)])
    piece = StudyDefinition.model_validate({**declared.frozen(), **changes})
    kept = Comparisons(reference=LABELS[2], against=(LABELS[0],), equivalence=0.03)
    assert piece.compare == kept
    every = compared()
    piece = StudyDefinition.model_validate({**every.frozen(), **piece_of(every, [("E1",)])})
    assert piece.compare == every.compare
    assert "compare" not in piece_of(study(), [("E1",)])


def test_the_reference_alone_is_compared_with_nothing():
    declared = compared((LABELS[0],))
    changes = piece_of(declared, [("linear",), ("E1",)])
    piece = StudyDefinition.model_validate({**declared.frozen(), **changes})
    assert [anchor.label for anchor in piece.anchors] == [LABELS[2]]
    assert piece.compare is None


@pytest.mark.parametrize(
    ("only", "what"),
    [
        ("GRPO", "--only: the study compares with 'linear, E1, lr x1': name it, too"),
        ("linear", "compares 'linear, E1, lr x1' with GRPO, E1, lr x1 alone: name one of these"),
    ],
)
def test_a_piece_without_what_it_compares_is_refused(only, what):
    with pytest.raises(StudyError, match=what):
        piece_of(compared((LABELS[0],)), [(only,)])
