"""The one mutable cell: the catalog in force, swapped whole when a change is sound."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from watchfiles import awatch

from qmonus_lite.background import ends_the_task
from qmonus_lite.catalog.files import unreadable
from qmonus_lite.catalog.lint.warning import PluginWarning
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.errors import BadPlugins, Fault

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Milliseconds without a further change before a change is read, and between looks at the folders
#: when no notice came (a network mount may send none).
DEBOUNCE_MS = 50
POLL_MS = 700
#: Seconds for which the folders are only looked at, before notices are asked for again.
NOTICES_AGAIN = 60.0
#: Seconds until the same folders are loaded again after a failure that is no fault of a file; each
#: further try waits twice as long, up to the last.
SHORTEST_DELAY, LONGEST_DELAY = 1.0, 30.0
#: Seconds without a look after which changes count as no longer seen.
UNSEEN_AFTER = 60.0


class Live:
    """Holds the catalog in force; whoever needs it takes it once and keeps it to the end."""

    def __init__(self, loader: Loader) -> None:
        """Load; raises BadPlugins."""
        self._loader = loader
        try:
            self._stamp: object = loader.stamp()
            self.catalog: Catalog = loader.load()
        except BadPlugins:
            raise
        except Exception as error:
            _log_failure(error, "plugins: not loaded")
            raise BadPlugins([self._fault_of(error)]) from None
        #: Faults of the folders as they are now; empty when the catalog is what they hold.
        self.faults: tuple[Fault, ...] = ()
        #: What the plugins say and hardly can mean.
        self.warnings: tuple[PluginWarning, ...] = ()
        self._warn(self.catalog)
        self._listeners: list[Callable[[Catalog], None]] = []
        # Its own: a thread that all share may be busy with requests for long.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="plugins")
        #: Whether the last look failed, when that was, when it is told and tried again.
        self._failed, self._delay, self._next = False, SHORTEST_DELAY, 0.0
        #: Why there are no notices of changes, or None.
        self._no_notices: str | None = None
        #: When the last look ended; None while nobody watches.
        self._looked: float | None = None

    def on_change(self, listener: Callable[[Catalog], None]) -> None:
        """Call `listener` with each new catalog."""
        self._listeners.append(listener)

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no change of the folders would be taken over now, or None."""
        if self._looked is None or time.monotonic() - self._looked < UNSEEN_AFTER:
            return None
        return f"the plugin folders could not be looked at for {UNSEEN_AFTER:g} s"

    async def watch(self) -> None:
        """Follow the folders until cancelled: by notices, and where there are none by looking."""
        self._looked = time.monotonic()
        while True:
            try:
                await self._follow_notices()
                why = "notices of changes ended"
            except BaseException as error:
                if ends_the_task(error):
                    raise
                why = _text_of(error)
            self._tell_of_polling(why)
            await self._poll(NOTICES_AGAIN)

    async def _follow_notices(self) -> None:
        """Look whenever the system tells of a change, and every `LOOK_MS` besides."""
        watching = awatch(
            *self._loader.folders,
            step=DEBOUNCE_MS,
            debounce=4 * DEBOUNCE_MS,
            rust_timeout=POLL_MS,
            yield_on_timeout=True,
            recursive=True,
        )
        async with contextlib.aclosing(watching):
            async for _changes in watching:
                if self._no_notices is not None:
                    extra = {"action": "plugins_watched"}
                    logger.info("plugins: watched by notices of changes again", extra=extra)
                    self._no_notices = None
                await self.reload()

    def _tell_of_polling(self, why: str) -> None:
        if why != self._no_notices:
            logger.warning(
                "plugins: watched by polling every %d ms: %s",
                POLL_MS,
                why,
                extra={"action": "plugins_polled"},
            )
            self._no_notices = why

    async def _poll(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            await self.reload()
            await asyncio.sleep(POLL_MS / 1000)

    async def reload(self) -> bool:
        """Take over what the folders hold now, if it changed and is sound; False when it is not.

        Whatever goes wrong is a fault of the folders, is told, and is tried again.
        """
        try:
            return await self._reload()
        except BaseException as error:
            if ends_the_task(error):
                raise
            self._fail(error)
            return False
        finally:
            if self._looked is not None:
                self._looked = time.monotonic()

    async def _reload(self) -> bool:
        try:
            stamp = await self._on_thread(self._loader.stamp)
        except Exception:
            # Whatever is there when it goes well again is read.
            self._stamp = None
            raise
        if stamp == self._stamp and not (self._failed and time.monotonic() >= self._next):
            return not self.faults
        self._stamp = stamp
        try:
            catalog = await self._on_thread(self._loader.load)
        except BadPlugins as error:
            self._keep(error.faults)
            return False
        self._failed, self.faults = False, ()
        self._warn(catalog)
        if catalog.fingerprint != self.catalog.fingerprint:
            self._swap(catalog)
        return True

    async def _on_thread(self, work: Callable[[], T]) -> T:
        """What `work()` gives, however long it takes; a long wait is told."""
        working = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            while not (await asyncio.wait([working], timeout=UNSEEN_AFTER))[0]:
                extra = {"action": "plugins_unseen"}
                logger.error("plugins: the folders cannot be looked at", extra=extra)
        finally:
            working.cancel()
        return working.result()

    def _keep(self, faults: tuple[Fault, ...]) -> None:
        """The catalog in force stays; say why."""
        self._failed, self.faults = False, faults
        for fault in faults:
            logger.error("%s", fault, extra={"action": "plugin_fault", "file": fault.file})
        logger.error(
            "plugins: %d faults; the running set stays as it was",
            len(faults),
            extra={"action": "plugins_kept"},
        )

    def _fail(self, error: BaseException) -> None:
        """A look broke off, by no fault that the loader knows."""
        now, faults = time.monotonic(), (self._fault_of(error),)
        repeated = self._failed and faults == self.faults
        self._failed, self.faults = True, faults
        if repeated and now < self._next:
            return
        self._delay = min(2 * self._delay, LONGEST_DELAY) if repeated else SHORTEST_DELAY
        self._next = now + self._delay
        _log_failure(error, f"{faults[0]}; the running set stays as it was")

    def _fault_of(self, error: BaseException) -> Fault:
        if isinstance(error, OSError):
            return unreadable(error)
        folders = ", ".join(map(str, self._loader.folders))
        return Fault(folders, 1, 1, f"the plugins could not be loaded: {_text_of(error)}")

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
            try:
                listener(catalog)
            except Exception:
                logger.exception("not told of new plugins", extra={"action": "listener_failed"})


def _log_failure(error: BaseException, message: str) -> None:
    # What the system refuses needs no traceback of ours.
    trace = None if isinstance(error, OSError) else error
    logger.error("%s", message, exc_info=trace, extra={"action": "plugins_failed"})


def _text_of(error: BaseException) -> str:
    """An exception in words that can be encoded; of a group, the first one, which says more."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = f"{type(error).__name__}: {error}"
    return text.encode(errors="backslashreplace").decode()


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
