"""Commands `events list`, `events show` and `events replay`: access to the local outbox."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadPlace, BadSetting
from qmonus_lite.events.outbox import Outbox, detail, entry

#: Maximum number of events in a listing.
MAX_LISTED = 100_000
_STATES = ("prepared", "ready", "dead")


def events(arguments: Arguments) -> int:
    """List, show or replay events; may run concurrently with an APIGW."""
    match arguments.positionals:
        case ("list",):
            return _list(arguments)
        case ("show", event_id):
            return _show(arguments, event_id)
        case ("replay", event_id):
            return _replay(arguments, event_id)
    raise BadSetting("events: expected 'list [--state=dead]', 'show ID' or 'replay ID|all'")


def _list(arguments: Arguments) -> int:
    state = arguments.flags.get("state", "")
    if state and state not in _STATES:
        raise BadSetting(f"--state={state}: expected one of {', '.join(_STATES)}")
    with _outbox(arguments) as outbox:
        for row in outbox.listing(state, MAX_LISTED).result():
            one = entry(row)
            line = f"{one.id} {one.state} attempt={one.attempt} {one.type} {one.path}"
            print(line + (f" ({one.reason})" if one.reason else ""))
    return 0


def _show(arguments: Arguments, event_id: str) -> int:
    with _outbox(arguments) as outbox:
        rows = outbox.one(event_id).result()
    if not rows:
        raise BadSetting(f"events show: no event {event_id!r} is in the outbox")
    print(json.dumps(detail(rows[0]), ensure_ascii=False, indent=2))
    return 0


def _replay(arguments: Arguments, event_id: str) -> int:
    clock = Clock(arguments.settings(os.environ, own=("state",)).logs.timezone)
    with _outbox(arguments) as outbox:
        wanted = [event_id]
        if event_id == "all":
            wanted = [entry(row).id for row in outbox.listing("dead", MAX_LISTED).result()]
        replayed = sum(outbox.replay(one, clock.now()).result() for one in wanted)
    if not replayed and event_id != "all":
        raise BadSetting(f"events replay: no dead letter has the id {event_id!r}")
    print(f"replayed {replayed} event(s); a running APIGW takes them within a second")
    return 0


@contextmanager
def _outbox(arguments: Arguments) -> Iterator[Outbox]:
    settings = arguments.settings(os.environ, own=("state",))
    folder = settings.storage.state_dir
    place = folder / "outbox.sqlite3"
    if not place.exists():
        raise BadPlace(f"--data_dir={folder}: no outbox here; has an APIGW run on it?")
    outbox = Outbox(place)
    try:
        yield outbox
    finally:
        outbox.close()


COMMANDS = {
    "events": Command(
        run=events,
        summary="list events that wait or were given up, show one, replay dead letters",
        usage="list [--state=STATE] | show ID | replay ID|all",
        flags=("base_dir", "data_dir", "timezone"),
        own_flags={"--state=STATE": "list only events that are prepared, ready or dead"},
    ),
}
