"""The lifecycle of an upload: every pair of state and transition."""

import itertools

import pytest

from qmonus_lite.uploads.lifecycle import (
    TRANSITIONS,
    InvalidTransition,
    UploadState,
    UploadTransition,
)

ENDS = {UploadState.PUBLISHED, UploadState.IN_DOUBT, UploadState.ABORTED, UploadState.EXPIRED}
BEFORE_SEALED = {UploadState.CREATED, UploadState.RECEIVING, UploadState.SUSPENDED}
PAIRS = list(itertools.product(UploadState, UploadTransition))


@pytest.mark.parametrize(("state", "transition"), PAIRS)
def test_every_pair_leads_to_the_state_of_the_table_or_is_refused(
    state: UploadState, transition: UploadTransition
) -> None:
    expected = TRANSITIONS.get((state, transition))
    if expected is not None:
        assert TRANSITIONS[state, transition] is expected
    else:
        with pytest.raises(InvalidTransition, match=str(state)):
            TRANSITIONS[state, transition]


def test_an_upload_is_given_up_only_before_it_is_sealed() -> None:
    for target in (UploadState.ABORTED, UploadState.EXPIRED):
        sources = {state for (state, _), end in TRANSITIONS.items() if end is target}
        assert sources == BEFORE_SEALED


def test_it_becomes_visible_only_from_sealed() -> None:
    for target in (UploadState.PUBLISHED, UploadState.IN_DOUBT):
        sources = {state for (state, _), end in TRANSITIONS.items() if end is target}
        assert sources == {UploadState.SEALED}


def test_every_state_is_reached_and_only_the_ends_have_no_way_out() -> None:
    reached, ahead = {UploadState.CREATED}, [UploadState.CREATED]
    while ahead:
        state = ahead.pop()
        ends = {end for (source, _), end in TRANSITIONS.items() if source is state}
        ahead += ends - reached
        reached |= ends

    assert reached == set(UploadState)
    assert {state for state in UploadState if not any(s is state for s, _ in TRANSITIONS)} == ENDS
