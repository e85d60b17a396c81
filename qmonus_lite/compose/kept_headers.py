"""Names of the headers whose values stored events keep, from the active plugin set."""

from qmonus_lite.catalog.live import Live
from qmonus_lite.events.envelope import UPLOADED


class KeptHeaders:
    """Gives those names, made anew only when the plugin set changes."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._catalog = live.catalog
        self._names = self._catalog.kept_headers(UPLOADED)

    def __call__(self) -> frozenset[str]:
        """What handlers of `APIGW.OnFileUploaded` name in `keep_headers`."""
        catalog = self._live.catalog
        if catalog is not self._catalog:
            self._catalog, self._names = catalog, catalog.kept_headers(UPLOADED)
        return self._names
