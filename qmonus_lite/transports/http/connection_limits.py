"""Limits of unauthenticated connections of a worker: number of connections and body bytes.

Any host that reaches the port can connect and send. A signature can be verified only on a complete
message, so until then all connections share a bounded amount of memory.
"""

from collections import deque
from collections.abc import Mapping
from typing import Protocol

from qmonus_lite.transports.http.signature import ID, SIGNATURE, TIMESTAMP

#: Maximum bytes of an unsigned body, and of all longer bodies being received together.
SMALL_BODY_BYTES, MAX_UNSIGNED_BYTES = 64 << 10, 64 << 20


class ConnectionState(Protocol):
    """State of a connection, as needed for the limits."""

    #: True if a signed message was received on this connection.
    known: bool

    @property
    def busy(self) -> bool:
        """True while a message is being handled."""

    def hang_up(self) -> None:
        """Close the connection."""

    def go_on(self) -> None:
        """Resume reading: bytes for the body are now reserved."""


class ConnectionLimits:
    """Limits shared by the connections of one listener."""

    def __init__(self, *, most_connections: int, most_coming: int = MAX_UNSIGNED_BYTES) -> None:
        self._most = most_connections
        self._left = most_coming
        #: Open connections, oldest first.
        self.guests: dict[ConnectionState, None] = {}
        self._waiting: deque[tuple[ConnectionState, int]] = deque()

    def enter(self, guest: ConnectionState) -> bool:
        """Add a connection; at the limit, evict the oldest idle unauthenticated one.

        Returns False if there is no connection to evict.
        """
        if len(self.guests) >= self._most:
            idle = next((one for one in self.guests if not (one.known or one.busy)), None)
            if idle is None:
                return False
            self.guests.pop(idle)
            idle.hang_up()
        self.guests[guest] = None
        return True

    def leave(self, guest: ConnectionState) -> None:
        """Remove a closed connection and its pending reservation."""
        self.guests.pop(guest, None)
        if self._waiting:
            self._waiting = deque([one for one in self._waiting if one[0] is not guest])
            self.give_back(0)

    def take(self, guest: ConnectionState, size: int) -> bool:
        """Reserve `size` bytes; on False, the connection is queued until `go_on` is called."""
        if size > self._left or self._waiting:
            self._waiting.append((guest, size))
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Release reserved bytes and resume queued connections in order."""
        self._left += size
        while self._waiting and self._waiting[0][1] <= self._left:
            guest, wanted = self._waiting.popleft()
            self._left -= wanted
            guest.go_on()


def looks_signed(headers: Mapping[str, str]) -> bool:
    """True if the signature headers are present; verifying the signature needs the body."""
    return bool(headers.get(ID) and headers.get(TIMESTAMP)) and headers.get(
        SIGNATURE, ""
    ).startswith("v1,")
