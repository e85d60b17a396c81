"""The brake on guessing: who gives wrong API keys again and again is told to wait, ever longer.

A right key is let in at any time. No rate of guesses finds 256 random bits, and a brake that
refused right keys would let one client lock out all others behind the same address.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: Failures that cost nothing, and the seconds without one after which they are forgotten.
FREE_FAILURES, FORGET_SECONDS = 5, 60.0
#: Seconds of the longest wait.
MAX_WAIT_SECONDS = 60.0
#: Clients that are remembered; the one that was quiet for longest is forgotten first.
MAX_CLIENTS = 10_000


@dataclass(kw_only=True)
class _Record:
    failures: int
    #: When the last one that counted came, and until when the client is to wait.
    last: float
    until: float


class LoginThrottle:
    """Remembers failures by client address."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def failed(self, address: str) -> int:
        """Note a failure; the seconds that this client is to wait, 0 for none."""
        client, now = _client(address), self._now()
        record = self._records.pop(client, None)
        if record is None or now > max(
            record.last + FORGET_SECONDS, record.until + MAX_WAIT_SECONDS
        ):
            record = _Record(failures=0, last=now, until=now)
        self._records[client] = record
        if len(self._records) > MAX_CLIENTS:
            self._records.popitem(last=False)
        if now >= record.until:
            # One that comes too early does not count: a client that hammers is not worse off.
            record.failures += 1
            record.last = now
            if record.failures > FREE_FAILURES:
                record.until = now + min(
                    MAX_WAIT_SECONDS, 2.0 ** min(record.failures - FREE_FAILURES - 1, 10)
                )
        return math.ceil(record.until - now)


def _client(address: str) -> str:
    """The address; of IPv6 the network, for one client has all of that."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network((known, 64), strict=False))
    return address
