"""Commands `events list`, `show`, `replay` and `drop`: access to the local outbox."""

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.clock import Clock
from qmonus_lite.compose.registry import DEFAULT_EVENT_LOG, event_log_kind
from qmonus_lite.compose.shared import make_gateway
from qmonus_lite.data_format import read_format
from qmonus_lite.errors import BadSetting
from qmonus_lite.events.event_redaction import redacted_detail
from qmonus_lite.events.log import STATES, EventLog
from qmonus_lite.events.stored_event import EventEntry
from qmonus_lite.settings.table import Settings

#: Maximum number of events in a listing.
MAX_LISTED = 100_000
#: In place of an id: every dead letter.
ALL = "all"


def events(arguments: Arguments) -> int:
    """List, show, replay or drop events; may run concurrently with an APIGW."""
    match arguments.positionals:
        case ("list",):
            return _list(arguments)
        case ("show", event_id):
            return _show(arguments, event_id)
        case ("replay", event_id):
            return _replay(arguments, event_id)
        case ("drop", event_id):
            return _drop(arguments, event_id)
    raise BadSetting(
        "events: expected 'list [--state=dead]', 'show ID', 'replay ID|all' or 'drop ID|all'"
    )


def _list(arguments: Arguments) -> int:
    state = arguments.flags.get("state", "")
    if state and state not in STATES:
        raise BadSetting(f"--state={state}: expected one of {', '.join(STATES)}")
    clock = Clock(_settings(arguments).logs.timezone)
    with _event_log(arguments) as log:
        entries = log.list_events(state, MAX_LISTED).result()
    for entry in entries:
        print(_line(entry, clock))
    return 0


def _line(entry: EventEntry, clock: Clock) -> str:
    made = datetime.fromisoformat(entry.time).timestamp()
    text = (
        f"{entry.id} {entry.state} time={_time(clock, made)} attempt={entry.attempt}"
        f" next={_next_try(entry, clock)} {entry.type} {entry.path}"
    )
    return f"{text} ({entry.reason})" if entry.reason else text


def _next_try(entry: EventEntry, clock: Clock) -> str:
    """Time of the next try, `now` if it is due, `-` if none is due by time."""
    if entry.state != "ready":
        return "-"
    return "now" if entry.next_at <= clock.now() else _time(clock, entry.next_at)


def _time(clock: Clock, seconds: float) -> str:
    return clock.at(seconds).isoformat(timespec="seconds")


def _show(arguments: Arguments, event_id: str) -> int:
    with _event_log(arguments) as log:
        detail = log.show(event_id).result()
    if detail is None:
        raise BadSetting(f"events show: no event {event_id!r} is in the outbox")
    settings = _settings(arguments)
    gateway = make_gateway(settings, read_format(settings.storage.state_dir))
    print(json.dumps(redacted_detail(detail, gateway), ensure_ascii=False, indent=2))
    return 0


def _replay(arguments: Arguments, event_id: str) -> int:
    clock = Clock(_settings(arguments).logs.timezone)
    with _event_log(arguments) as log:
        replayed = _count(log.replay(dead, clock.now()) for dead in _dead_letters(log, event_id))
    if not replayed and event_id != ALL:
        raise BadSetting(f"events replay: no dead letter has the id {event_id!r}")
    print(f"replayed {replayed} event(s); a running APIGW takes them within a second")
    return 0


def _drop(arguments: Arguments, event_id: str) -> int:
    with _event_log(arguments) as log:
        dropped = _count(log.drop(dead) for dead in _dead_letters(log, event_id))
    if not dropped and event_id != ALL:
        raise BadSetting(
            f"events drop: no dead letter has the id {event_id!r}; an event that waits is not"
            " dropped"
        )
    print(f"dropped {dropped} dead letter(s)")
    return 0


def _dead_letters(log: EventLog, event_id: str) -> list[str]:
    """The id, or those of all dead letters."""
    if event_id != ALL:
        return [event_id]
    return [entry.id for entry in log.list_events("dead", MAX_LISTED).result()]


def _count(changes: "Iterable[Future[int]]") -> int:
    """Number of events changed; submitted together, the changes share transactions."""
    return sum(change.result() for change in list(changes))


@contextmanager
def _event_log(arguments: Arguments) -> Iterator[EventLog]:
    log = event_log_kind(DEFAULT_EVENT_LOG).open(_settings(arguments))
    try:
        yield log
    finally:
        log.close()


def _settings(arguments: Arguments) -> Settings:
    return arguments.settings(os.environ, own=("state",))


COMMANDS = {
    "events": Command(
        run=events,
        summary="list events that wait or were given up, show one, replay or drop dead letters",
        usage="list [--state=STATE] | show ID | replay ID|all | drop ID|all",
        flags=("base_dir", "data_dir", "timezone"),
        own_flags={"--state=STATE": "list only events that are prepared, ready or dead"},
    ),
}
