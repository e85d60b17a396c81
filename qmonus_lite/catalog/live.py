"""The one mutable cell: the catalog in force, swapped whole when a change is sound."""

import asyncio
import logging
from collections.abc import Callable

from watchfiles import awatch

from qmonus_lite.catalog.lint.warning import PluginWarning
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.errors import BadPlugins, Fault

logger = logging.getLogger(__name__)

#: Milliseconds without a further change before a change is read, and between looks at the folders
#: when no notice came (a network mount may send none).
QUIET_MS = 50
LOOK_MS = 700


class Live:
    """Holds the catalog in force; whoever needs it takes it once and keeps it to the end."""

    def __init__(self, loader: Loader) -> None:
        """Load; raises BadPlugins."""
        self._loader = loader
        self._stamp = loader.stamp()
        self.catalog: Catalog = loader.load()
        #: Faults of the folders as they are now; empty when the catalog is what they hold.
        self.faults: tuple[Fault, ...] = ()
        #: What the plugins say and hardly can mean.
        self.warnings: tuple[PluginWarning, ...] = ()
        self._warn(self.catalog)
        self._listeners: list[Callable[[Catalog], None]] = []

    def on_change(self, listener: Callable[[Catalog], None]) -> None:
        """Call `listener` with each new catalog."""
        self._listeners.append(listener)

    async def watch(self) -> None:
        """Follow the folders until cancelled."""
        watching = awatch(
            *self._loader.folders,
            step=QUIET_MS,
            debounce=4 * QUIET_MS,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            recursive=True,
        )
        async for _changes in watching:
            await self.reload()

    async def reload(self) -> bool:
        """Take over what the folders hold now, if it changed and is sound; False when it is not."""
        stamp = await asyncio.to_thread(self._loader.stamp)
        if stamp == self._stamp:
            return not self.faults
        self._stamp = stamp
        try:
            catalog = await asyncio.to_thread(self._loader.load)
        except BadPlugins as error:
            self.faults = error.faults
            for fault in error.faults:
                logger.error("%s", fault, extra={"action": "plugin_fault", "file": fault.file})
            logger.error(
                "plugins: %d faults; the running set stays as it was",
                len(error.faults),
                extra={"action": "plugins_kept"},
            )
            return False
        self.faults = ()
        self._warn(catalog)
        if catalog.fingerprint != self.catalog.fingerprint:
            self._swap(catalog)
        return True

    def _warn(self, catalog: Catalog) -> None:
        """Log the warnings that are new; what stays as it was has been logged before."""
        known, self.warnings = (
            set(self.warnings),
            tuple(one for one in catalog.warnings if one.level == "warning"),
        )
        for one in self.warnings:
            if one not in known:
                extra = {"action": "plugin_warning", "file": one.file, "rule": one.rule}
                logger.warning("%s", one, extra=extra)

    def _swap(self, catalog: Catalog) -> None:
        self.catalog = catalog
        logger.info(
            "plugins: now %d",
            len(catalog.listed),
            extra={"action": "plugins_loaded", "events": list(catalog.events)},
        )
        for listener in self._listeners:
            listener(catalog)


def describe(live: Live) -> dict[str, object]:
    """What `/-/plugins` shows."""
    catalog = live.catalog
    return {
        "plugins": [vars(one) for one in catalog.listed],
        "events": list(catalog.events),
        "fingerprint": catalog.fingerprint,
        "faults": [vars(fault) for fault in live.faults],
        "warnings": [vars(one) for one in live.warnings],
    }
