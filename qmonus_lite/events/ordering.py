"""Turns: which events may go straight from their commit to a worker, and which wait in the outbox.

Events of one path are delivered one after the other, in the order of their commits. So one may go
straight only when no earlier one of its path is under way or waits; all others go through the
outbox, which keeps the order by itself.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable

#: Events that may be on their straight way at once.
MAX_DIRECT = 256
#: Waiting events that are known by path; with more of them, none goes straight.
MAX_KNOWN = 10_000


class PathOrder:
    """Asked by the threads that commit and by the dispatcher."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Paths with an event on its straight way.
        self._direct: set[str] = set()
        #: Ids of events that wait in the outbox, by path.
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)
        self._known = 0
        #: Events that wait beside those.
        self._unknown = 0

    @property
    def anything_waits(self) -> bool:
        """Whether events are in the outbox that did not go straight."""
        return self._known > 0 or self._unknown > 0

    def load(self, waiting: Iterable[tuple[str, str]], more: int) -> None:
        """What a former process left: path and id of events that wait, and how many more do."""
        with self._lock:
            for path, event_id in waiting:
                self._wait(path, event_id)
            self._unknown += more

    def go(self, path: str, event_id: str, *, direct: bool) -> bool:
        """Whether an event may go straight, if that is wanted; else it counts as waiting."""
        with self._lock:
            if (
                direct
                and len(self._direct) < MAX_DIRECT
                and not self._unknown
                and path not in self._direct
                and path not in self._waiting
            ):
                self._direct.add(path)
                return True
            self._wait(path, event_id)
            return False

    def queue(self, path: str, event_id: str) -> None:
        """An event that was on its straight way has to wait after all."""
        with self._lock:
            self._direct.discard(path)
            if event_id not in self._waiting.get(path, ()):
                self._wait(path, event_id)

    def end(self, path: str, event_id: str, *, direct: bool) -> None:
        """An event is delivered, or given up."""
        with self._lock:
            if direct:
                self._direct.discard(path)
            elif event_id in self._waiting.get(path, ()):
                self._waiting[path].discard(event_id)
                self._known -= 1
                if not self._waiting[path]:
                    del self._waiting[path]
            elif self._unknown:
                self._unknown -= 1

    def _wait(self, path: str, event_id: str) -> None:
        if self._known < MAX_KNOWN:
            self._waiting[path].add(event_id)
            self._known += 1
        else:
            self._unknown += 1
