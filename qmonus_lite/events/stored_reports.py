"""Asynchronous access of a worker registry to the report file, which other processes write too."""

import asyncio
import logging
from collections.abc import Callable

from qmonus_lite.errors import BadResource
from qmonus_lite.events.report_file import Entries, ReportFile

logger = logging.getLogger(__name__)


class StoredReports:
    """The report file, or no file: then nothing is stored. Failures are logged."""

    def __init__(self, file: ReportFile | None) -> None:
        self._file = file

    @property
    def own(self) -> bool:
        """Whether the reports are of workers that `up` started."""
        return self._file is not None and self._file.own

    @property
    def changed(self) -> bool:
        """Whether another process has written the file since it was read or written here."""
        return self._file is not None and self._file.changed

    def load(self) -> Entries:
        """All entries by endpoint, read at once; raises BadResource."""
        return {} if self._file is None else self._file.read()

    async def read(self) -> Entries | None:
        """All entries by endpoint, or None after a failure."""
        try:
            return await asyncio.to_thread(self.load)
        except BadResource as error:
            logger.error("%s", error, extra={"action": "workers_not_read"})
            return None

    async def edit(self, change: Callable[[Entries], object]) -> bool:
        """Change the entries; returns whether the file has the change."""
        if self._file is None:
            return True
        try:
            await asyncio.to_thread(self._file.edit, change)
        except (BadResource, OSError) as error:
            text = "what workers handle cannot be written down: %s"
            logger.error(text, error, extra={"action": "workers_not_kept"})
            return False
        return True
