"""`nodes`, `nodes forget`: what is kept of the workers, from the shell on the machine."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.errors import BadPlace, BadSetting
from qmonus_lite.events.report_file import Entries, KeptReport, ReportFile, State
from qmonus_lite.setting_values import endpoints

#: Characters of a fingerprint that are shown.
SHORT = 12


def nodes(arguments: Arguments) -> int:
    """List the workers, or drop the report of one; works beside a running APIGW."""
    data_dir = arguments.settings(os.environ, own=("json",)).state_dir
    if not data_dir.is_dir():
        raise BadPlace(f"--data_dir={data_dir}: no such directory; has an APIGW run on it?")
    match arguments.words:
        case () | ("list",):
            return _list(data_dir, as_json=arguments.flags.get("json") == "true")
        case ("forget", name):
            return _forget(data_dir, name)
    raise BadSetting("nodes: expected nothing, 'list' or 'forget NAME'")


def _list(data_dir: Path, *, as_json: bool) -> int:
    runs = _apigw_runs(data_dir)
    rows = [_row(word, runs) for _, word in sorted(ReportFile(data_dir).read().items())]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        words = f"{row['endpoint']} {row['state']} since {row['since']} heard={row['heard']}"
        print(f"{words} plugins={row['plugins'] or '-'} events={','.join(row['events']) or '-'}")
    return 0


def _row(word: KeptReport, runs: bool) -> dict[str, Any]:
    state = "dropped" if word.dropped else word.state.value
    if word.state is State.LIVE and not runs:
        # Written by an APIGW that is no more, and could not take it back.
        state = "unknown"
    return {
        "endpoint": word.endpoint,
        "state": state,
        "since": _moment(word.since),
        "heard": _moment(word.heard_at) if word.heard_at else "never",
        "plugins": word.generation[:SHORT],
        "events": sorted(word.counted),
    }


def _forget(data_dir: Path, name: str) -> int:
    runs = _apigw_runs(data_dir)
    endpoint = name

    def drop(entries: Entries) -> None:
        nonlocal endpoint
        endpoint = _named(entries, name)
        word = entries.get(endpoint)
        if word is not None and word.state is State.LIVE and runs:
            raise BadSetting(
                f"nodes forget: {endpoint} answers now; stop that worker, or take it out of"
                " --lambda_endpoints, first"
            )
        entries[endpoint] = KeptReport(
            endpoint=endpoint,
            handles=frozenset(),
            generation="",
            heard_at=word.heard_at if word else 0.0,
            state=State.AWAY,
            since=datetime.now(UTC).timestamp(),
            dropped=True,
        )

    with _clear_errors(data_dir):
        ReportFile(data_dir).edit(drop)
    print(f"dropped the report of {endpoint}; a running APIGW takes it within a second")
    return 0


def _named(entries: Entries, name: str) -> str:
    """The endpoint that is meant: in full, or by its host and port. Raises BadSetting."""
    found = [one for one in entries if name in (one, one.partition("://")[2])]
    if len(found) == 1:
        return found[0]
    if "://" not in name:
        known = ", ".join(sorted(entries)) or "none"
        raise BadSetting(f"nodes forget: no worker {name!r} was ever heard; known: {known}")
    # One that is configured and was never heard: it counts as one that handles nothing.
    try:
        [endpoint] = endpoints(name)
    except ValueError as error:
        raise BadSetting(f"nodes forget: {error}") from None
    return endpoint


@contextmanager
def _clear_errors(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadPlace(
            f"--data_dir={data_dir}: cannot be written: {error.strerror};"
            " run this as the user of the service"
        ) from None


def _apigw_runs(data_dir: Path) -> bool:
    """Whether somebody holds the lock of the data directory.

    Looked up and not tried: to hold it for a moment could refuse the start of an APIGW.
    """
    try:
        inode = (data_dir / "apigw.lock").stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any("FLOCK" in line and f":{inode} " in line for line in lines)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


COMMANDS = {
    "nodes": Command(
        run=nodes,
        summary="list the Lambda workers and what they handle, drop what is kept of one",
        usage="[list] [--json] | forget NAME",
        flags=("base_dir", "data_dir"),
        own_flags={"--json": "list them as JSON"},
    ),
}
