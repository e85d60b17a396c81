"""What the processes logged: which events handlers saw, in which order, and how deliveries went."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.acceptance.process import Running
from tests.chaos.plugins import SEEN


@dataclass(frozen=True, kw_only=True)
class HandlerRun:
    """One run of the recording handler."""

    tag: str
    path: str
    bytes: int
    event_id: str
    #: Whether the gate had been asked about the upload.
    asked: bool


@dataclass(frozen=True, kw_only=True)
class LoggedEvents:
    """What all lives logged."""

    #: In the order of the worker's log.
    seen: list[HandlerRun]
    #: Attempts of the deliveries that an APIGW logged, by event id, in the order of its log.
    attempts: dict[str, list[int]]
    #: The attempt that was the last one, where an APIGW lived to log it.
    delivered: dict[str, int]
    #: Dead letters by event id, with their reasons.
    dead: dict[str, str]

    def runs(self) -> dict[str, list[HandlerRun]]:
        """Runs by tag."""
        found: dict[str, list[HandlerRun]] = defaultdict(list)
        for run in self.seen:
            found[run.tag].append(run)
        return found


def read_logs(apigw: Iterable[Running], worker: Iterable[Running]) -> LoggedEvents:
    """Read the logs of all lives, oldest first."""
    attempts: dict[str, list[int]] = defaultdict(list)
    delivered, dead = {}, {}
    for said in _records(apigw):
        event_id = said.get("qmonus_lite.event_id", "")
        attempt = said.get("qmonus_lite.attempt", 0)
        if said.get("event_name") in ("event_delivered", "event_retry", "event_dead"):
            attempts[event_id].append(attempt)
        if said.get("event_name") == "event_delivered":
            delivered[event_id] = attempt
        if said.get("event_name") == "event_dead":
            dead[event_id] = said["qmonus_lite.reason"]
    seen = [
        HandlerRun(
            event_id=said["qmonus_lite.event_id"],
            **{name: said[name] for name in ("tag", "path", "bytes", "asked")},
        )
        for said in _records(worker)
        if said.get("action") == SEEN
    ]
    return LoggedEvents(seen=seen, attempts=attempts, delivered=delivered, dead=dead)


def _records(lives: Iterable[Running]) -> Iterator[dict[str, Any]]:
    for life in lives:
        for line in life.stderr.split("\n"):
            # What Python itself says is no JSON, nor is a line that a kill cut off.
            if line.startswith("{") and line.endswith("}"):
                yield json.loads(line)
