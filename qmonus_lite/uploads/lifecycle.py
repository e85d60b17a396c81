"""Lifecycle of an upload: its states, and the table of the transitions between them."""

from enum import StrEnum


class UploadState(StrEnum):
    """State of an upload."""

    #: Accepted; no byte has arrived.
    CREATED = "created"
    #: Bytes arrive.
    RECEIVING = "receiving"
    #: Its connection ended; its bytes are kept until it is resumed, aborted or expires.
    SUSPENDED = "suspended"
    #: Complete; being published, even if the client disconnects.
    SEALED = "sealed"
    #: Visible at its path.
    PUBLISHED = "published"
    #: It is unknown whether it was published; recovery decides.
    IN_DOUBT = "in doubt"
    #: Given up by the client, or because of an error; its bytes are removed.
    ABORTED = "aborted"
    #: Suspended for too long; its bytes are removed.
    EXPIRED = "expired"


class UploadTransition(StrEnum):
    """What happens to an upload."""

    #: Bytes arrive, also the first ones after a suspension.
    RECEIVE = "receive"
    #: The connection ended, and the upload can be resumed.
    SUSPEND = "suspend"
    #: The last byte has arrived.
    SEAL = "seal"
    #: The store has published it.
    PUBLISH = "publish"
    #: The store could not publish it: it is as it was before it was sealed.
    REFUSE = "refuse"
    #: The store cannot tell whether it published it.
    LOSE = "lose"
    #: The client, an error or the shutdown ended it.
    ABORT = "abort"
    #: The time for resuming it is over.
    EXPIRE = "expire"


class OnDisconnect(StrEnum):
    """What becomes of an incomplete upload whose connection ends; a property of the upload."""

    ABORT = "abort"
    SUSPEND = "suspend"


class InvalidTransition(Exception):
    """A transition that the state of the upload does not allow; a bug of the caller."""


class TransitionTable(dict[tuple[UploadState, UploadTransition], UploadState]):
    """The next state by state and transition; raises InvalidTransition for all other pairs."""

    def __missing__(self, pair: tuple[UploadState, UploadTransition]) -> UploadState:
        state, transition = pair
        raise InvalidTransition(f"{transition} of an upload that is {state}")


_S, _T = UploadState, UploadTransition

#: The lifecycle: `TRANSITIONS[state, transition]` is the next state.
TRANSITIONS = TransitionTable(
    {
        (_S.CREATED, _T.RECEIVE): _S.RECEIVING,
        # An upload without content.
        (_S.CREATED, _T.SEAL): _S.SEALED,
        (_S.CREATED, _T.SUSPEND): _S.SUSPENDED,
        (_S.CREATED, _T.ABORT): _S.ABORTED,
        (_S.CREATED, _T.EXPIRE): _S.EXPIRED,
        (_S.RECEIVING, _T.RECEIVE): _S.RECEIVING,
        (_S.RECEIVING, _T.SEAL): _S.SEALED,
        (_S.RECEIVING, _T.SUSPEND): _S.SUSPENDED,
        (_S.RECEIVING, _T.ABORT): _S.ABORTED,
        (_S.RECEIVING, _T.EXPIRE): _S.EXPIRED,
        (_S.SUSPENDED, _T.RECEIVE): _S.RECEIVING,
        # The last byte had arrived before the connection ended.
        (_S.SUSPENDED, _T.SEAL): _S.SEALED,
        (_S.SUSPENDED, _T.ABORT): _S.ABORTED,
        (_S.SUSPENDED, _T.EXPIRE): _S.EXPIRED,
        (_S.SEALED, _T.PUBLISH): _S.PUBLISHED,
        (_S.SEALED, _T.REFUSE): _S.RECEIVING,
        (_S.SEALED, _T.LOSE): _S.IN_DOUBT,
    }
)
