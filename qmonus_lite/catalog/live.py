"""The catalog in force: watches the plugin folders and replaces it atomically on valid changes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from qmonus_lite.background import ends_the_task
from qmonus_lite.catalog.files import unreadable
from qmonus_lite.catalog.lint.warning import PluginWarning
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.catalog.plugins import Catalog, Listed, file_changes
from qmonus_lite.errors import BadPlugins, Fault
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.scripting.modules import publish
from qmonus_lite.surrogates import escape_surrogates
from qmonus_lite.values import Value

if TYPE_CHECKING:
    import watchfiles
else:
    watchfiles = ImportedOnUse("watchfiles")

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Milliseconds without a further change before a change is read (debounce), and interval of polls
#: without change notifications (a network mount may not send any).
DEBOUNCE_MS = 50
POLL_MS = 700
#: Seconds of polling only, before change notifications are tried again.
NOTIFICATION_RETRY_SECONDS = 60.0
#: Seconds until unchanged folders are loaded again after an error that is not a fault of a file;
#: exponential backoff from the first value up to the last.
MIN_DELAY_SECONDS, MAX_DELAY_SECONDS = 1.0, 30.0
#: Seconds without a completed scan after which changes count as unnoticed.
SCAN_TIMEOUT_SECONDS = 60.0


class Live:
    """Holds the catalog in force; a request reads it once and uses that version to its end."""

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
        publish(self.catalog.scripts)
        #: Faults of the folders as they are now; empty if the catalog matches the folders.
        self.faults: tuple[Fault, ...] = ()
        #: Likely mistakes in the plugins.
        self.warnings: tuple[PluginWarning, ...] = ()
        self._warn(self.catalog)
        self._log_commented_out(self.catalog, ())
        self._listeners: list[Callable[[Catalog], None]] = []
        # A separate thread: a shared thread pool may be busy with requests for long.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="plugins")
        #: Whether the last scan failed, current backoff, and time of the next log and retry.
        self._failed, self._delay, self._retry_at = False, MIN_DELAY_SECONDS, 0.0
        #: Why change notifications are not available, or None.
        self._polling_reason: str | None = None
        #: Whether the next scan loads the folders and puts the result in force, changed or not.
        self._reload_requested = False
        #: Time of the last completed scan; None while the folders are not watched.
        self._last_scan: float | None = None

    def on_change(self, listener: Callable[[Catalog], None]) -> None:
        """Call `listener` with each new catalog."""
        self._listeners.append(listener)

    def request_reload(self) -> None:
        """Load unchanged folders too, at the next scan (within POLL_MS while they are watched)."""
        self._reload_requested = True

    @property
    def unhealthy_reason(self) -> str | None:
        """Why a change of the folders would not be loaded now, or None."""
        if self._last_scan is None or time.monotonic() - self._last_scan < SCAN_TIMEOUT_SECONDS:
            return None
        return f"the plugin folders could not be looked at for {SCAN_TIMEOUT_SECONDS:g} s"

    async def watch(self) -> None:
        """Watch the folders until cancelled: by change notifications, else by polling."""
        self._last_scan = time.monotonic()
        while True:
            try:
                await self._watch_notifications()
                reason = "change notifications ended"
            except BaseException as error:
                if ends_the_task(error):
                    raise
                reason = _text_of(error)
            self._log_polling(reason)
            await self._poll(NOTIFICATION_RETRY_SECONDS)

    async def _watch_notifications(self) -> None:
        """Scan on every change notification, and every `POLL_MS` as well."""
        watching = watchfiles.awatch(
            *self._loader.folders,
            step=DEBOUNCE_MS,
            debounce=4 * DEBOUNCE_MS,
            rust_timeout=POLL_MS,
            yield_on_timeout=True,
            recursive=True,
        )
        async with contextlib.aclosing(watching):
            async for _changes in watching:
                if self._polling_reason is not None:
                    extra = {"action": "plugins_watched"}
                    logger.info("plugins: watched by change notifications again", extra=extra)
                    self._polling_reason = None
                await self.reload()

    def _log_polling(self, reason: str) -> None:
        if reason != self._polling_reason:
            logger.warning(
                "plugins: watched by polling every %d ms: %s",
                POLL_MS,
                reason,
                extra={"action": "plugins_polled"},
            )
            self._polling_reason = reason

    async def _poll(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            await self.reload()
            await asyncio.sleep(POLL_MS / 1000)

    async def reload(self) -> bool:
        """Load the folders if they changed and are valid; False if they have faults.

        Every error is recorded as a fault of the folders, logged, and retried.
        """
        try:
            return await self._reload()
        except BaseException as error:
            if ends_the_task(error):
                raise
            self._fail(error)
            return False
        finally:
            if self._last_scan is not None:
                self._last_scan = time.monotonic()

    async def _reload(self) -> bool:
        try:
            stamp = await self._on_thread(self._loader.stamp)
        except Exception:
            # Forces a load once the folders are readable again.
            self._stamp = None
            raise
        forced, self._reload_requested = self._reload_requested, False
        retried = self._failed and time.monotonic() >= self._retry_at
        if stamp == self._stamp and not (forced or retried):
            return not self.faults
        self._stamp = stamp
        try:
            catalog = await self._on_thread(self._loader.load)
        except BadPlugins as error:
            self._on_faults(error.faults)
            return False
        self._failed, self.faults = False, ()
        self._warn(catalog)
        if forced or catalog.fingerprint != self.catalog.fingerprint:
            self._swap(catalog)
        return True

    async def _on_thread(self, work: Callable[[], T]) -> T:
        """Result of `work()` without a timeout; a long wait is logged."""
        working = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            while not (await asyncio.wait([working], timeout=SCAN_TIMEOUT_SECONDS))[0]:
                extra = {"action": "plugins_unseen"}
                logger.error("plugins: the folders cannot be looked at", extra=extra)
        finally:
            working.cancel()
        return working.result()

    def _on_faults(self, faults: tuple[Fault, ...]) -> None:
        """Keep the catalog in force and log the faults."""
        self._failed, self.faults = False, faults
        for fault in faults:
            logger.error("%s", fault, extra={"action": "plugin_fault", "file": fault.file})
        logger.error(
            "plugins: %d faults; the running set stays as it was",
            len(faults),
            extra={"action": "plugins_kept"},
        )

    def _fail(self, error: BaseException) -> None:
        """Handle a scan that failed by an error other than BadPlugins."""
        now, faults = time.monotonic(), (self._fault_of(error),)
        repeated = self._failed and faults == self.faults
        self._failed, self.faults = True, faults
        if repeated and now < self._retry_at:
            return
        self._delay = min(2 * self._delay, MAX_DELAY_SECONDS) if repeated else MIN_DELAY_SECONDS
        self._retry_at = now + self._delay
        _log_failure(error, f"{faults[0]}; the running set stays as it was")

    def _fault_of(self, error: BaseException) -> Fault:
        if isinstance(error, OSError):
            return unreadable(error)
        folders = ", ".join(map(str, self._loader.folders))
        return Fault(folders, 1, 1, f"the plugins could not be loaded: {_text_of(error)}")

    def _warn(self, catalog: Catalog) -> None:
        """Log the new warnings; unchanged ones have been logged before."""
        known, self.warnings = (
            set(self.warnings),
            tuple(warning for warning in catalog.warnings if warning.level == "warning"),
        )
        for warning in self.warnings:
            if warning not in known:
                extra = {"action": "plugin_warning", "file": warning.file, "rule": warning.rule}
                logger.warning("%s", warning, extra=extra)

    def _log_commented_out(self, catalog: Catalog, known: tuple[str, ...]) -> None:
        for file in catalog.commented_out:
            if file not in known:
                extra = {"action": "plugin_commented_out", "file": file}
                logger.info("plugins: %s is commented out: off", file, extra=extra)

    def _swap(self, catalog: Catalog) -> None:
        self._log_commented_out(catalog, self.catalog.commented_out)
        publish(catalog.scripts)
        extra = {"action": "plugins_loaded", "events": list(catalog.events)}
        extra |= file_changes(self.catalog, catalog)
        self.catalog = catalog
        logger.info("plugins: now %d", len(catalog.listed), extra=extra)
        for listener in self._listeners:
            try:
                listener(catalog)
            except Exception:
                logger.exception(
                    "a listener of plugin changes failed", extra={"action": "listener_failed"}
                )


def _log_failure(error: BaseException, message: str) -> None:
    # An OSError needs no traceback.
    trace = None if isinstance(error, OSError) else error
    logger.error("%s", message, exc_info=trace, extra={"action": "plugins_failed"})


def _text_of(error: BaseException) -> str:
    """An exception as encodable text; of a group, its first exception, which is more specific."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return escape_surrogates(f"{type(error).__name__}: {error}")


class PluginSet(Value, frozen=True, kw_only=True):
    """The plugins in force, and what is wrong with the plugin folders."""

    #: The plugins in force.
    plugins: tuple[Listed, ...]
    #: Names of the events that have a handler.
    events: tuple[str, ...]
    #: Hash of the content of the files.
    fingerprint: str
    #: Files that are commented out as a whole, so that they are off.
    commented_out: tuple[str, ...]
    #: Faults of the folders as they are now; because of them the set in force stays.
    faults: tuple[Fault, ...]
    #: Likely mistakes in the plugins.
    warnings: tuple[PluginWarning, ...]


def describe(live: Live) -> PluginSet:
    """The state of the plugins."""
    catalog = live.catalog
    return PluginSet(
        plugins=catalog.listed,
        events=catalog.events,
        fingerprint=catalog.fingerprint,
        commented_out=catalog.commented_out,
        faults=live.faults,
        warnings=live.warnings,
    )
