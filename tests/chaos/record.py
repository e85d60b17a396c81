"""The record: what clients asked for and were told, and what readers found, on one clock.

The clock is `time.monotonic` of the one process that all clients and readers are threads of.
"""

import enum
import math
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field


class End(enum.Enum):
    """How an upload ended, as far as its client knows."""

    #: 200 or 201 and a whole receipt.
    ACKNOWLEDGED = "acknowledged"
    #: Any other status.
    REFUSED = "refused"
    #: The client went away before it had sent the whole body.
    ABORTED = "aborted"
    #: The connection broke before all was sent.
    CUT = "cut"
    #: All was sent and nothing came back: stored or not.
    UNKNOWN = "unknown"


@dataclass(kw_only=True)
class Upload:
    """One upload of a client."""

    tag: str
    #: Stored path, as receipts and events have it.
    path: str
    size: int
    #: Whether it carries what lets it in.
    invited: bool
    #: Before its first byte was sent.
    began: float
    #: When its end was known; infinite while the server may still be at it.
    ended: float = math.inf
    end: End = End.UNKNOWN
    #: Status of the answer, 0 for none.
    status: int = 0
    #: From the receipt.
    event_id: str = ""

    def before(self, other: "Upload") -> bool:
        """Whether it was over when the other began."""
        return self.ended < other.began


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What stood at a path once."""

    path: str
    #: Before it was looked at.
    at: float
    #: Tag of the content; None when no file was there.
    tag: str | None


@dataclass(kw_only=True)
class Record:
    """All of a trial; its threads append, the checker reads when they have ended."""

    #: By tag.
    uploads: dict[str, Upload] = field(default_factory=dict)
    #: Those that began last.
    latest: deque[Upload] = field(default_factory=lambda: deque(maxlen=30))
    sightings: list[Sighting] = field(default_factory=list)
    #: Faults that need no rule: half files, nonsense in receipts, threads that failed.
    faults: list[str] = field(default_factory=list)

    def begin(self, upload: Upload) -> None:
        """Before its first byte: a reader may see it before its client hears of its end."""
        self.uploads[upload.tag] = upload
        self.latest.append(upload)

    def by_path(self) -> dict[str, list[Upload]]:
        """Uploads by their path, in the order in which they began."""
        found: dict[str, list[Upload]] = defaultdict(list)
        for upload in sorted(self.uploads.values(), key=lambda upload: upload.began):
            found[upload.path].append(upload)
        return found

    def ends(self) -> Counter[End]:
        """How many ended how."""
        return Counter(upload.end for upload in list(self.uploads.values()))
