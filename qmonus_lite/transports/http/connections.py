"""The workers as one process reaches them over HTTP: their registry and the transports."""

from collections.abc import Sequence

from qmonus_lite.events.report_file import ReportFile
from qmonus_lite.transports.http.signature import Signer
from qmonus_lite.transports.http.signed_client import SignedClient
from qmonus_lite.transports.http.transport import HttpTransport
from qmonus_lite.transports.http.worker_registry import HttpWorkerRegistry


class HttpWorkerConnections:
    """Implements `events.transport.WorkerConnections`."""

    def __init__(
        self, endpoints: Sequence[str], signer: Signer, source: str, reports: ReportFile
    ) -> None:
        """`source`: `http(s)://host:port` of this APIGW. Raises BadResource."""
        self._signer = signer
        self._client = SignedClient(signer)
        self._registry = HttpWorkerRegistry(endpoints, self._client, source, reports)

    @property
    def registry(self) -> HttpWorkerRegistry:
        """See `events.transport.WorkerConnections`."""
        return self._registry

    def for_questions(self) -> HttpTransport:
        """See `events.transport.WorkerConnections`."""
        return HttpTransport(self._client, self._registry)

    def for_deliveries(self) -> HttpTransport:
        """See `events.transport.WorkerConnections`."""
        transport = HttpTransport(SignedClient(self._signer), self._registry)
        self._registry.on_lost(transport.abandon)
        return transport
