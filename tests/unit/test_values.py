"""Values that are made several times per request."""

import pytest

from qmonus_lite.events.envelope import Ids
from qmonus_lite.values import changed


def test_cannot_be_changed_in_place() -> None:
    ids = Ids(event_id="e1")

    with pytest.raises(AttributeError):
        ids.event_id = "e2"  # type: ignore[misc]
    assert ids == Ids(event_id="e1")


def test_are_copied_with_other_fields() -> None:
    ids = Ids(event_id="e1", attempt=2)

    assert changed(ids, attempt=3) == Ids(event_id="e1", attempt=3)
    assert ids.attempt == 2


def test_take_no_fields_by_position_and_none_that_is_unknown() -> None:
    with pytest.raises(TypeError):
        Ids("e1")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        changed(Ids(), unknown=1)
