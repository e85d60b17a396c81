"""Reasons why a callout got no answer, as text that names the cause; rate-limited log."""

import asyncio
import logging
import os
import ssl
import threading
import time
from typing import TYPE_CHECKING

from qmonus_lite.imported_on_use import ImportedOnUse

if TYPE_CHECKING:
    import aiohttp
    import yarl
else:
    aiohttp, yarl = ImportedOnUse("aiohttp"), ImportedOnUse("yarl")

logger = logging.getLogger(__name__)

#: Seconds in which the same cause at the same server is logged once; maximum of causes kept.
LOG_INTERVAL_SECONDS, MAX_CAUSES = 10.0, 1000


def reason(error: BaseException, url: "yarl.URL", connect: float, request: float | None) -> str:
    """Message for the script and the log; the seconds are the timeouts of this callout."""
    server = f"{url.host_subcomponent}:{url.port}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {server} is not accepted: {_of_certificate(error)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"{url.host}: the name cannot be resolved: {error.strerror or error}"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"no TLS with {server}: {error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio's own text is "Connect call failed" for all of them.
        cause = os.strerror(error.errno) if error.errno else str(error.os_error)
        return f"no connection to {server}: {cause}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection to {server} within {connect:g} s"
    if isinstance(error, asyncio.TimeoutError) and request is not None:
        return f"no answer from {server} within {request:g} s"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return f"{server} closed the connection without an answer"
    return f"no usable answer from {server}: {str(error) or type(error).__name__}"


def is_other_name(error: BaseException) -> bool:
    """Whether a certificate fails only because of a name mismatch."""
    cause = getattr(error, "certificate_error", None)
    # X509_V_ERR_HOSTNAME_MISMATCH, _EMAIL_MISMATCH, _IP_ADDRESS_MISMATCH
    return isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in {62, 63, 64}


def _of_certificate(error: "aiohttp.ClientConnectorCertificateError") -> str:
    cause = error.certificate_error
    message = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else ""
    return message.rstrip(".") or str(cause)


class FailureLog:
    """Rate-limited log of callouts without an answer: a persisting cause is repeated."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Time of the last log record of a cause, and the number of suppressed records since.
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}

    def failed(self, method: str, url: "yarl.URL", why: str) -> None:
        """Log that one callout of this method and address got no answer."""
        now = time.monotonic()
        with self._lock:
            last, suppressed = self._logged.get(
                (str(url.origin()), why), (-LOG_INTERVAL_SECONDS, 0)
            )
            due = now - last >= LOG_INTERVAL_SECONDS
            if len(self._logged) >= MAX_CAUSES:
                self._logged.clear()
            self._logged[str(url.origin()), why] = (now, 0) if due else (last, suppressed + 1)
        if due:
            # Without the query, which may contain a credential.
            extra = {"action": "callout_failed", "code": 599, "suppressed": suppressed}
            logger.warning("callout %s %s: %s", method, shown(url), why, extra=extra)


def shown(url: "yarl.URL") -> str:
    """A URL for the log: without user, query and fragment."""
    return f"{url.origin()}{url.raw_path}"
