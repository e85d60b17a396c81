"""Room for what has not shown yet that it comes from an APIGW of ours: connections, and bytes.

Whoever reaches the port can connect and send. Only a whole message shows whether it is signed, so
until then it gets a share that is bounded for all of them together.
"""

from collections import deque
from collections.abc import Mapping
from typing import Protocol

from qmonus_lite.events.signature import ID, SIGNATURE, TIMESTAMP

#: Bytes of a body that anybody may send, and of all longer ones that are on their way.
SMALL_BODY_BYTES, MAX_UNSIGNED_BYTES = 64 << 10, 64 << 20


class ConnectionState(Protocol):
    """A connection."""

    #: Whether a signed message came over it.
    known: bool

    @property
    def busy(self) -> bool:
        """Whether a message is being handled."""

    def hang_up(self) -> None:
        """Close it."""

    def go_on(self) -> None:
        """There is room for its body now."""


class ConnectionLimits:
    """What the connections of one listener share."""

    def __init__(self, *, most_connections: int, most_coming: int = MAX_UNSIGNED_BYTES) -> None:
        self._most = most_connections
        self._left = most_coming
        #: In the order in which they came.
        self.guests: dict[ConnectionState, None] = {}
        self._waiting: deque[tuple[ConnectionState, int]] = deque()

    def enter(self, guest: ConnectionState) -> bool:
        """Take a connection in; one that never brought a message makes way for it if need be."""
        if len(self.guests) >= self._most:
            idle = next((one for one in self.guests if not (one.known or one.busy)), None)
            if idle is None:
                return False
            self.guests.pop(idle)
            idle.hang_up()
        self.guests[guest] = None
        return True

    def leave(self, guest: ConnectionState) -> None:
        """It is gone."""
        self.guests.pop(guest, None)
        if self._waiting:
            self._waiting = deque([one for one in self._waiting if one[0] is not guest])
            self.give_back(0)

    def take(self, guest: ConnectionState, size: int) -> bool:
        """Make room for a body; False when it has to wait until it is told to go on."""
        if size > self._left or self._waiting:
            self._waiting.append((guest, size))
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """A body is there, or will not come."""
        self._left += size
        while self._waiting and self._waiting[0][1] <= self._left:
            guest, wanted = self._waiting.popleft()
            self._left -= wanted
            guest.go_on()


def looks_signed(headers: Mapping[str, str]) -> bool:
    """Whether a head has what a signed message has; the signature itself needs the body."""
    return bool(headers.get(ID) and headers.get(TIMESTAMP)) and headers.get(
        SIGNATURE, ""
    ).startswith("v1,")
