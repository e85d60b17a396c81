"""Failed-login throttle: exponential backoff per client address for wrong API keys.

A correct key is accepted at any time. 256 random bits cannot be guessed at any rate, and a throttle
that refused correct keys would let one client lock out all others behind the same address.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: Failures without a delay, and the seconds without a failure after which the count is reset.
FREE_FAILURES, FORGET_SECONDS = 5, 60.0
#: Maximum delay in seconds.
MAX_WAIT_SECONDS = 60.0
#: Maximum number of clients tracked; the least recently failed is evicted.
MAX_CLIENTS = 10_000


@dataclass(kw_only=True)
class _Record:
    failures: int
    #: Time of the last counted failure, and end of the client's delay (monotonic seconds).
    last: float
    until: float


class LoginThrottle:
    """Counts failed logons by client address."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def failed(self, address: str) -> int:
        """Record a failure; returns the seconds that this client has to wait, 0 for none."""
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
            # A failure during the delay is not counted, so rapid retries do not extend it.
            record.failures += 1
            record.last = now
            if record.failures > FREE_FAILURES:
                record.until = now + min(
                    MAX_WAIT_SECONDS, 2.0 ** min(record.failures - FREE_FAILURES - 1, 10)
                )
        return max(0, math.ceil(record.until - now))


def _client(address: str) -> str:
    """The address; for IPv6 its /64 network, since a client usually controls all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
