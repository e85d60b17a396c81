"""Storing: a whole upload gets its place, and nobody has to hear of it.

    sync(staged) -> rename -> sync(directory) -> answer

An upload whose event somebody handles goes the longer way of `upload.commit`, of which these are
the steps that touch the files.

With `--upload_durability=none` nothing waits for a device, so that a small file is stored by the
loop itself: to hand it to a thread and back costs more than the calls. Where these turn out slow
after all (a file system over a network, memory full of pages to be written), the threads take over
for a while.
"""

import asyncio
import contextlib
import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from qmonus_lite.errors import InternalFault
from qmonus_lite.upload.crew import Crew
from qmonus_lite.upload.failures import PLACING
from qmonus_lite.upload.ground import Ground, Parents
from qmonus_lite.upload.staging import Names, OtherMount, Placed, StagedFile
from qmonus_lite.upload.staging_places import Staging

#: Bytes of a file that the loop may store by itself.
SMALL = 64 << 10
#: Seconds after which that was slow, and seconds for which the threads then do it.
SLOW, REST = 0.005, 10.0


@dataclass(eq=False, kw_only=True)
class Upload:
    """A received upload that is to be stored."""

    staged: StagedFile
    #: Bytes that are not yet in the staged file.
    rest: bytes | bytearray
    parts: tuple[str, ...]
    #: Refuse to take the place of another file.
    create_only: bool = False
    placed: Placed | None = None
    #: Whether its name is on stable storage, as far as that is promised.
    kept: bool = False
    #: Seconds that its sync took.
    waited: float = math.inf
    #: Why it goes no further.
    error: BaseException | None = None

    def write(self) -> None:
        """Write what is not yet in the staged file; raises Problem, also for a wrong digest."""
        if self.rest:
            self.staged.write(self.rest)
        self.staged.digests.check()

    def sync(self) -> None:
        """Put all bytes on stable storage; raises Problem."""
        began = time.perf_counter()
        self.staged.finish()
        self.waited = time.perf_counter() - began

    def finish(self) -> None:
        """Write it, and put all bytes on stable storage; raises Problem."""
        self.write()
        self.sync()

    def place(
        self, parents: Parents, staging: Staging, moved: Callable[[], object] | None = None
    ) -> None:
        """Let it appear at its path; raises Problem.

        A file that is staged on another mount is copied first, and then `moved` is called.
        """
        try:
            self._appear(parents)
        except OtherMount as error:
            self._move(parents, staging, moved or _nobody, error)

    def _appear(self, parents: Parents) -> None:
        walk, name = parents.of(self.parts), self.parts[-1]
        self.placed = self.staged.place(walk, name, create_only=self.create_only)

    def _move(
        self,
        parents: Parents,
        staging: Staging,
        moved: Callable[[], object],
        error: OtherMount,
    ) -> None:
        """Copy it to where it can be renamed from, and let it appear from there."""
        for directory in staging.across(*parents.place(self.parts)):
            if str(directory) == os.path.dirname(self.staged.path):
                continue
            self.staged.move(directory)
            moved()
            try:
                self._appear(parents)
                return
            except OtherMount as again:
                error = again
        raise self.staged.disk.answer(error.error, PLACING) from error

    def keep(self, names: Names) -> None:
        """Put its name on stable storage, if it has appeared; raises Problem."""
        if self.placed is not None:
            self.placed.keep(names)
            self.kept = True

    @property
    def replaced(self) -> bool:
        """Whether it took the place of another; raises what it failed of, once."""
        if self.error is not None:
            # The error knows the frames that it came through, and these know us: with both kept,
            # the bytes would stay in memory until the garbage collector came.
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error
        if self.placed is None or not self.kept:
            # Only what went all the way is acknowledged, whatever broke off the way.
            raise InternalFault("the upload was not stored; the log of the server says why")
        return self.placed.replaced


def _nobody() -> None:
    """No outbox has to know."""


U = TypeVar("U", bound=Upload)


def each(uploads: Sequence[U], step: Callable[[U], object]) -> None:
    """Take a step with those that came so far; one that fails holds up no other."""
    for one in uploads:
        if one.error is None:
            try:
                step(one)
            except BaseException as error:
                one.error = error


class _Turn:
    """Who stores at one path; `async with` waits for the turn, and has it."""

    def __init__(self, turns: "dict[tuple[str, ...], _Turn]", parts: tuple[str, ...]) -> None:
        self._turns = turns
        self._parts = parts
        self._lock = asyncio.Lock()
        self._known = 0

    async def __aenter__(self) -> None:
        self._turns[self._parts] = self
        self._known += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_error: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self._known -= 1
        if not self._known:
            del self._turns[self._parts]


class PathTurns:
    """Lets one upload at a time be stored at a path."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, ...], _Turn] = {}

    def __contains__(self, parts: tuple[str, ...]) -> bool:
        """Whether somebody has his turn at this path, or waits for it."""
        return parts in self._turns

    def at(self, parts: tuple[str, ...]) -> _Turn:
        """The turn at a path, to be waited for by `async with`."""
        return self._turns.get(parts) or _Turn(self._turns, parts)


def _waits() -> int:
    """How often this thread gave up the processor to wait for something."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class Storer:
    """Stores uploads that nobody is told of in one launch directory; callers have their turn."""

    def __init__(self, ground: Ground, staging: Staging, *, threads: Executor) -> None:
        self._ground = ground
        self._staging = staging
        self._crew: Crew[Upload] = Crew(self._store, threads)
        #: Moment before which the threads do it, by the monotonic clock.
        self._rests = 0.0

    def is_quick(self, upload: Upload) -> bool:
        """Whether the loop may store it."""
        disk = self._ground.disk
        return (
            not (disk.sync_files or disk.sync_names or upload.staged.begun)
            and len(upload.rest) <= SMALL
            and time.monotonic() >= self._rests
        )

    def store_now(self, upload: Upload) -> bool:
        """Store the file on this thread; whether it replaced another. Raises Problem."""
        began, waits = time.monotonic(), _waits()
        self._store([upload])
        # Other programs on the processor also take time; that is no fault of the disk.
        if (ended := time.monotonic()) - began > SLOW and _waits() != waits:
            self._rests = ended + REST
        return upload.replaced

    async def store(self, upload: Upload) -> bool:
        """Store the file; whether it replaced another. Raises Problem."""
        await self._crew.do(upload)
        return upload.replaced

    def _store(self, uploads: Sequence[Upload]) -> float:
        """All steps; how each upload ended stands in it. Gives the seconds of the shortest sync."""
        each(uploads, Upload.write)
        each(uploads, Upload.sync)
        names = Names(self._ground.disk)
        with contextlib.closing(Parents(self._ground)) as parents:
            each(uploads, lambda one: one.place(parents, self._staging))
            each(uploads, lambda one: one.keep(names))
        return min(one.waited for one in uploads)
