"""The reader: a thread that polls final paths; whatever it finds there has to be whole."""

import random
import threading
import time
from pathlib import Path

from tests.chaos.content import IncompleteContent, tag_of
from tests.chaos.planned_uploads import EMPTY, HOT
from tests.chaos.record import Record, Sighting

#: Seconds between two looks: it shares the processors with what it watches.
PAUSE = 0.004


class Reader(threading.Thread):
    """Looks at hot paths, and at those of the latest uploads, until it is stopped."""

    def __init__(self, base: Path, record: Record, *, seed: int, stop: threading.Event) -> None:
        super().__init__(name="reader")
        self._base = base
        self._record = record
        self._random = random.Random(f"{seed}/reader")
        self._stop_asked = stop

    def run(self) -> None:
        while not self._stop_asked.wait(PAUSE):
            look(self._base, self._path(), self._record)

    def _path(self) -> str:
        latest = self._record.latest
        if not latest or self._random.random() < 0.5:
            return self._random.choice((*HOT, EMPTY))
        return latest[self._random.randrange(len(latest))].path


def look(base: Path, path: str, record: Record) -> None:
    """Note what stands at a stored path now: a sighting, or a fault for half a file."""
    at = time.monotonic()
    try:
        tag = _tag(path, (base / path[1:]).read_bytes())
    except FileNotFoundError:
        tag = None
    except IncompleteContent as error:
        record.faults.append(f"half a file: {path}: {error}")
        return
    record.sightings.append(Sighting(path=path, at=at, tag=tag))


def _tag(path: str, data: bytes) -> str:
    if path != EMPTY:
        return tag_of(data)
    if data:
        raise IncompleteContent(f"{len(data)} bytes where there should be none")
    return ""
