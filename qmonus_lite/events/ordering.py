"""Per-path ordering: which events are delivered directly, and which wait in the outbox.

Events of one path are delivered sequentially, in commit order. So direct delivery is possible only
if no earlier event of the path is in delivery or waiting; all others go through the outbox, whose
claim query keeps the order.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable

#: Maximum number of events in direct delivery at once.
MAX_DIRECT = 256
#: Maximum number of waiting events tracked by path; beyond it direct delivery is disabled.
MAX_KNOWN = 10_000


class PathOrder:
    """Paths with events in delivery or waiting; used by committing threads and the dispatcher."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Paths with an event in direct delivery.
        self._direct: set[str] = set()
        #: Ids of events that wait in the outbox, by path.
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)
        self._known = 0
        #: Number of waiting events beyond MAX_KNOWN, which are not tracked by path.
        self._unknown = 0

    @property
    def anything_waits(self) -> bool:
        """Whether events wait in the outbox, not counting those in direct delivery."""
        return self._known > 0 or self._unknown > 0

    def load(self, waiting: Iterable[tuple[str, str]], more: int) -> None:
        """Load what an earlier process left: path and id of waiting events, and how many more."""
        with self._lock:
            for path, event_id in waiting:
                self._wait(path, event_id)
            self._unknown += more

    def go(self, path: str, event_id: str, *, direct: bool) -> bool:
        """Whether an event may be delivered directly, if `direct`; else it counts as waiting."""
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

    def may_follow(self, path: str) -> bool:
        """Whether other events than the one in delivery may wait at a path."""
        with self._lock:
            return self._unknown > 0 or len(self._waiting.get(path, ())) > 1

    def queue(self, path: str, event_id: str) -> None:
        """Move an event from direct delivery to waiting."""
        with self._lock:
            self._direct.discard(path)
            if event_id not in self._waiting.get(path, ()):
                self._wait(path, event_id)

    def end(self, path: str, event_id: str, *, direct: bool) -> None:
        """Remove an event that is delivered or a dead letter."""
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
