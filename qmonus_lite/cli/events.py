"""Commands `events list`, `show`, `retry`, `replay` and `drop`: access to the local outbox."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.terminal import (
    BOLD,
    CYAN,
    DIM,
    GREEN,
    RED,
    YELLOW,
    is_terminal,
    styled,
    wrapped,
)
from qmonus_lite.clock import Clock
from qmonus_lite.compose.gateway import make_gateway
from qmonus_lite.compose.registry import DEFAULT_EVENT_LOG, event_log_kind
from qmonus_lite.data_format import read_format
from qmonus_lite.errors import BadSetting
from qmonus_lite.events.event_redaction import redacted_detail
from qmonus_lite.events.log import STATES, EventLog
from qmonus_lite.events.stored_event import EventEntry
from qmonus_lite.ids import new_id
from qmonus_lite.settings.table import Settings
from qmonus_lite.values import Value

#: Maximum number of events in a listing.
MAX_LISTED = 100_000
#: In place of an id: every dead letter.
ALL = "all"


def events(arguments: Arguments) -> int:
    """List, show, retry, replay or drop events; may run concurrently with an APIGW."""
    match arguments.positionals:
        case ("list",):
            return _list(arguments)
        case ("show", event_id):
            return _show(arguments, event_id)
        case ("replay", event_id):
            return _change(arguments, _REPLAY, event_id)
        case ("retry", event_id):
            return _change(arguments, _RETRY, event_id)
        case ("drop", event_id):
            return _change(arguments, _DROP, event_id)
    raise BadSetting(
        "events: expected 'list [--state=dead]', 'show ID', 'retry ID|all', 'replay ID|all' or"
        " 'drop ID|all'"
    )


def _list(arguments: Arguments) -> int:
    state = arguments.flags.get("state", "")
    if state and state not in STATES:
        raise BadSetting(f"--state={state}: expected one of {', '.join(STATES)}")
    clock = Clock(_settings(arguments).logs.timezone)
    with _event_log(arguments) as log:
        entries = log.list_events(state, MAX_LISTED).result()
    for entry in entries:
        print(_lines(entry, clock) if is_terminal() else _line(entry, clock))
    return 0


#: Colour of a state on a terminal.
_COLOURS = {"ready": YELLOW, "sending": CYAN, "dead": RED, "delivered": GREEN}


def _lines(entry: EventEntry, clock: Clock) -> str:
    """An event as a person reads it on a terminal: what is most important first."""
    made = datetime.fromisoformat(entry.time).timestamp()
    state = styled(f"{entry.state:<9}", _COLOURS.get(entry.state, DIM))
    tried = f"attempt {entry.attempt}"
    if (due := _next_try(entry, clock)) != "-":
        tried += f", next {due}"
    lines = [
        f"{state} {styled(entry.path, BOLD)}",
        wrapped(f"{tried}  {styled(_time(clock, made), DIM)}", 10),
        styled(wrapped(f"{entry.type} {entry.id}", 10), DIM),
    ]
    if entry.reason:
        lines.append(wrapped(entry.reason, 10))
    return "\n".join(lines)


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


class _Change(Value, frozen=True, kw_only=True):
    """A command that changes events of one state."""

    name: str
    #: State of the events that `all` means.
    state: str
    #: Changes one event at a time in seconds since the epoch; gives 0 if there is none.
    make: Callable[[EventLog, str, float], int]
    #: What is printed after the number of events, and the error if there is no such event.
    done: str
    missing: str


def _replay(log: EventLog, event_id: str, now: float) -> int:
    """Deliver a dead letter, or a copy of a delivered event."""
    return (
        log.replay(event_id, now).result() or log.replay_delivered(event_id, new_id(), now).result()
    )


_TAKEN = "; a running APIGW takes them within a second"
_RETRY = _Change(
    name="retry",
    state="ready",
    make=lambda log, event_id, now: log.retry_now(event_id, now).result(),
    done=f"event(s) are due now{_TAKEN}",
    missing="no event waits with the id",
)
_REPLAY = _Change(
    name="replay",
    state="dead",
    make=_replay,
    done=f"event(s) will be delivered again{_TAKEN}",
    missing="no dead letter and no delivered event has the id",
)
_DROP = _Change(
    name="drop",
    state="dead",
    make=lambda log, event_id, _now: log.drop(event_id).result(),
    done="event(s) dropped",
    missing="no dead letter has the id",
)


def _change(arguments: Arguments, change: _Change, event_id: str) -> int:
    clock = Clock(_settings(arguments).logs.timezone)
    with _event_log(arguments) as log:
        ids = [event_id]
        if event_id == ALL:
            ids = [entry.id for entry in log.list_events(change.state, MAX_LISTED).result()]
        changed = sum(change.make(log, each, clock.now()) for each in ids)
    if not changed and event_id != ALL:
        raise BadSetting(f"events {change.name}: {change.missing} {event_id!r}")
    print(f"{changed} {change.done}")
    return 0


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
        summary="list events that wait or were given up, show, retry, replay or drop them",
        usage="list [--state=STATE] | show ID | retry ID|all | replay ID|all | drop ID|all",
        flags=("base_dir", "data_dir", "timezone"),
        own_flags={
            "--state=STATE": "list only events that are prepared, ready, sending (a part of the"
            " ready ones), dead or delivered; without it, all but delivered ones"
        },
    ),
}
