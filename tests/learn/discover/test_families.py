"""What reads alike is one family, and the model is believed as far as it agrees with people."""

from __future__ import annotations

from waybill.labelling.model.answer import Prediction
from waybill.learn.discover.families import families_of
from waybill.learn.discover.labels import trusted_from
from waybill.learn.discover.seen import Seen

SEEN = [Seen("disk sda has 0 errors today", 9), Seen("user bob left", 5)]
SEEN += [Seen("disk sdb has 0 errors today", 2), Seen("disk sdc has no errors today", 1)]


def test_a_family_has_its_most_frequent_mask_first() -> None:
    found = families_of(SEEN, 9)
    assert found.records == [11, 5, 1]
    assert found.first_masks() == [SEEN[0].mask, SEEN[1].mask, SEEN[3].mask]
    assert [one.mask for one in found.seen[:2]] == [SEEN[0].mask, SEEN[2].mask]
    assert list(found.alike([1])) == [0, 1]
    assert families_of(SEEN, 1).seen == found.seen[:2]


def test_what_people_said_of_one_is_said_of_the_family() -> None:
    found = families_of(SEEN, 9)
    found.seen[1].labels["Error"] += 1
    assert found.said() == ["Error", None, None]
    found.seen[0].labels["User Action"] += 1
    assert found.said() == [None, None, None]


def said(right: int, wrong: int, confidence: float) -> list[tuple[str, Prediction]]:
    prediction = Prediction("Error", confidence, 0.1, is_known=True, version="m@1")
    return [("Error", prediction)] * right + [("User Action", prediction)] * wrong


def test_the_model_is_believed_as_far_as_it_agrees() -> None:
    assert trusted_from(said(19, 0, 0.95)) == 0.98  # too few to tell
    assert trusted_from(said(30, 0, 0.99) + said(25, 5, 0.95)) == 0.99
    assert trusted_from(said(200, 1, 0.95)) == 0.95
    assert trusted_from(said(15, 15, 0.99)) > 1
