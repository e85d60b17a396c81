"""The rules of a trial: what had to hold, each as a list of breaches; empty lists are the proof.

"Before" between two uploads means that the one was answered before the other began: nothing else
is known about their order from outside.
"""

import bisect
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tests.chaos.killer import Kill
from tests.chaos.logs import LoggedEvents
from tests.chaos.planned_uploads import EMPTY
from tests.chaos.record import End, Record, Sighting, Upload

#: Ends that store nothing.
NOTHING = (End.REFUSED, End.ABORTED, End.CUT)
#: Seconds after a kill in which a client still sees that its connection broke.
CLOSE_DELAY = 0.5


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the rules are checked against."""

    record: Record
    logged: LoggedEvents
    #: What stood at every path in the end.
    end: Mapping[str, Sighting]
    #: Kills of the APIGW.
    kills: list[Kill]

    def uploads(self, *ends: End) -> Iterator[Upload]:
        """Uploads that ended so."""
        return (upload for upload in self.record.uploads.values() if upload.end in ends)


def broken_rules(evidence: Evidence) -> dict[str, list[str]]:
    """Every rule with its breaches."""
    return {
        "lost files": list(lost_files(evidence)),
        "wrong contents": list(wrong_contents(evidence)),
        "lost events": list(lost_events(evidence)),
        "false events": list(false_events(evidence)),
        "unequal ids": list(unequal_ids(evidence)),
        "attempts not higher": list(attempts_not_higher(evidence)),
        "out of order": list(out_of_order(evidence)),
        "last event not of the last content": list(last_event_of_another(evidence)),
        "dead letters": [f"{id_}: {why}" for id_, why in evidence.logged.dead.items()],
        "accepted unauthorized": list(accepted_unauthorized(evidence)),
        "left without an answer": list(left_without_an_answer(evidence)),
        "other faults": evidence.record.faults,
    }


def lost_files(evidence: Evidence) -> Iterator[str]:
    """A path with an acknowledged upload has a file ever after."""
    first: dict[str, float] = {}
    for upload in evidence.uploads(End.ACKNOWLEDGED):
        first[upload.path] = min(upload.ended, first.get(upload.path, math.inf))
    for sighting in _sightings(evidence):
        if sighting.tag is None and first.get(sighting.path, math.inf) < sighting.at:
            yield f"{sighting.path}: acknowledged, and then no file"


def wrong_contents(evidence: Evidence) -> Iterator[str]:
    """What is seen was sent to this path, by an upload that may have stored it, and is no older
    than what was acknowledged before."""
    newest = {path: _Newest(uploads) for path, uploads in evidence.record.by_path().items()}
    for sighting in _sightings(evidence):
        if not sighting.tag:
            continue
        upload = evidence.record.uploads.get(sighting.tag)
        if upload is None or upload.path != sighting.path:
            yield f"{sighting.path}: has {sighting.tag}, which was not sent there"
        elif upload.end in NOTHING:
            yield f"{sighting.path}: has {sighting.tag}, which was {upload.end.value}"
        elif (known := newest[sighting.path].at(sighting.at)) and upload.before(known):
            yield f"{sighting.path}: has {sighting.tag} after {known.tag} was acknowledged"


def lost_events(evidence: Evidence) -> Iterator[str]:
    """Every upload that was acknowledged, or that was seen stored, has an event."""
    seen = {run.tag for run in evidence.logged.seen}
    stored = {sighting.tag for sighting in _sightings(evidence) if sighting.tag}
    stored |= {upload.tag for upload in evidence.uploads(End.ACKNOWLEDGED)}
    return (f"{tag}: no event" for tag in sorted(stored - seen))


def false_events(evidence: Evidence) -> Iterator[str]:
    """No event for what was not stored, or of another file than it says."""
    for run in evidence.logged.seen:
        upload = evidence.record.uploads.get(run.tag)
        if upload is None:
            yield f"{run.tag}: an event for nothing"
        elif upload.end in NOTHING:
            yield f"{run.tag}: {upload.end.value} with {upload.status}, and yet an event"
        elif (run.path, run.bytes) != (upload.path, upload.size):
            yield f"{run.tag}: its event says {run.path}, {run.bytes} bytes"


def unequal_ids(evidence: Evidence) -> Iterator[str]:
    """All events of one upload have one id: that of the receipt, if there was one."""
    for tag, runs in evidence.logged.runs().items():
        upload = evidence.record.uploads.get(tag)
        ids = {run.event_id for run in runs}
        ids |= {upload.event_id} if upload and upload.event_id else set()
        if len(ids) > 1:
            yield f"{tag}: {', '.join(sorted(ids))}"


def attempts_not_higher(evidence: Evidence) -> Iterator[str]:
    """Attempts of one event only rise, and each run of its handlers had one of its own."""
    for event_id, attempts in evidence.logged.attempts.items():
        if sorted(set(attempts)) != attempts:
            yield f"{event_id}: attempts {attempts}"
    for tag, runs in evidence.logged.runs().items():
        last = evidence.logged.delivered.get(runs[0].event_id)
        if last is not None and last < len(runs):
            yield f"{tag}: {len(runs)} runs, and its last attempt is {last}"


def out_of_order(evidence: Evidence) -> Iterator[str]:
    """Events of one path are first seen in the order of their acknowledgements."""
    for uploads in _first_seen(evidence).values():
        # From the last one on: nothing that is seen later may have been over before it began.
        earliest: Upload | None = None
        for upload in reversed(uploads):
            if earliest is not None and earliest.before(upload):
                yield f"{upload.path}: {upload.tag} was seen before {earliest.tag}"
            if earliest is None or upload.ended < earliest.ended:
                earliest = upload


def last_event_of_another(evidence: Evidence) -> Iterator[str]:
    """What stands at a path is what its last event told of."""
    for path, uploads in _first_seen(evidence).items():
        sighting = evidence.end.get(path)
        tag = sighting.tag if sighting else None
        if path != EMPTY and tag != uploads[-1].tag:
            yield f"{path}: has {tag}, the last event was of {uploads[-1].tag}"


def accepted_unauthorized(evidence: Evidence) -> Iterator[str]:
    """Without a credential and without permission of the handler nothing is stored."""
    for upload in evidence.uploads(End.ACKNOWLEDGED, End.UNKNOWN):
        if not upload.invited and (upload.end is End.ACKNOWLEDGED or _seen(evidence, upload)):
            yield f"{upload.tag}: {upload.status}"


def left_without_an_answer(evidence: Evidence) -> Iterator[str]:
    """Only a kill keeps an APIGW from answering."""
    for upload in evidence.uploads(End.UNKNOWN, End.CUT):
        if not any(
            kill.began < upload.ended and upload.began < kill.ended + CLOSE_DELAY
            for kill in evidence.kills
        ):
            yield f"{upload.tag}: {upload.path}"


class _Newest:
    """The acknowledged uploads of one path: which of them began last, at any time."""

    def __init__(self, uploads: Iterable[Upload]) -> None:
        known = [upload for upload in uploads if upload.end is End.ACKNOWLEDGED]
        known.sort(key=lambda upload: upload.ended)
        self._ends = [upload.ended for upload in known]
        self._newest = list(itertools.accumulate(known, _later))

    def at(self, moment: float) -> Upload | None:
        """Of those acknowledged before this moment, the one that began last."""
        count = bisect.bisect_left(self._ends, moment)
        return self._newest[count - 1] if count else None


def _later(upload: Upload, other: Upload) -> Upload:
    return max(upload, other, key=lambda upload: upload.began)


def _sightings(evidence: Evidence) -> Iterable[Sighting]:
    return (*evidence.record.sightings, *evidence.end.values())


def _seen(evidence: Evidence, upload: Upload) -> bool:
    return any(run.tag == upload.tag for run in evidence.logged.seen)


def _first_seen(evidence: Evidence) -> dict[str, list[Upload]]:
    """Uploads by path in the order in which their events were first seen."""
    found: dict[str, dict[str, Upload]] = defaultdict(dict)
    for run in evidence.logged.seen:
        if upload := evidence.record.uploads.get(run.tag):
            found[upload.path].setdefault(run.tag, upload)
    return {path: list(uploads.values()) for path, uploads in found.items()}
