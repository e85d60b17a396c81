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
    authenticated: bool

    @property
    def busy(self) -> bool:
        """True while a message is being handled."""

    def close(self) -> None:
        """Close the connection."""

    def resume(self) -> None:
        """Resume reading: bytes for the body are now reserved."""


class ConnectionLimits:
    """Limits shared by the connections of one listener."""

    def __init__(self, *, max_connections: int, max_bytes: int = MAX_UNSIGNED_BYTES) -> None:
        self._max_connections = max_connections
        self._left = max_bytes
        #: Open connections, oldest first.
        self.connections: dict[ConnectionState, None] = {}
        self._waiting: deque[tuple[ConnectionState, int]] = deque()

    def add(self, connection: ConnectionState) -> bool:
        """Add a connection; at the limit, evict the oldest idle unauthenticated one.

        Returns False if there is no connection to evict.
        """
        if len(self.connections) >= self._max_connections:
            idle = next(
                (each for each in self.connections if not (each.authenticated or each.busy)), None
            )
            if idle is None:
                return False
            self.connections.pop(idle)
            idle.close()
        self.connections[connection] = None
        return True

    def remove(self, connection: ConnectionState) -> None:
        """Remove a closed connection and its pending reservation."""
        self.connections.pop(connection, None)
        if self._waiting:
            self._waiting = deque([entry for entry in self._waiting if entry[0] is not connection])
            self.release(0)

    def reserve(self, connection: ConnectionState, size: int) -> bool:
        """Reserve `size` bytes; on False, the connection is queued until `resume` is called."""
        if size > self._left or self._waiting:
            self._waiting.append((connection, size))
            return False
        self._left -= size
        return True

    def release(self, size: int) -> None:
        """Release reserved bytes and resume queued connections in order."""
        self._left += size
        while self._waiting and self._waiting[0][1] <= self._left:
            connection, wanted = self._waiting.popleft()
            self._left -= wanted
            connection.resume()


def _is_evictable(connection: ConnectionState) -> bool:
    return not (connection.authenticated or connection.busy)


def looks_signed(headers: Mapping[str, str]) -> bool:
    """True if the signature headers are present; verifying the signature needs the body."""
    return bool(headers.get(ID) and headers.get(TIMESTAMP)) and headers.get(
        SIGNATURE, ""
    ).startswith("v1,")
