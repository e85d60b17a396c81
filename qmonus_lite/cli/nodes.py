"""Commands `nodes list` and `nodes forget`: access to the local file of worker reports."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.terminal import BOLD, DIM, GREEN, YELLOW, is_terminal, styled, wrapped
from qmonus_lite.errors import BadResource, BadSetting
from qmonus_lite.events.report_file import Entries, ReportFile, State, StoredReport
from qmonus_lite.settings.values import endpoints

#: Characters shown of a plugin set's fingerprint.
SHORT = 12


def nodes(arguments: Arguments) -> int:
    """List the workers, or drop a worker's report; may run concurrently with an APIGW."""
    data_dir = arguments.settings(os.environ, own=("json",)).storage.state_dir
    if not data_dir.is_dir():
        raise BadResource(f"--data_dir={data_dir}: no such directory; has an APIGW run on it?")
    match arguments.positionals:
        case () | ("list",):
            return _list(data_dir, as_json=arguments.flags.get("json") == "true")
        case ("forget", name):
            return _forget(data_dir, name)
    raise BadSetting("nodes: expected nothing, 'list' or 'forget NAME'")


def _list(data_dir: Path, *, as_json: bool) -> int:
    apigw_runs = _apigw_runs(data_dir)
    rows = [_row(report, apigw_runs) for _, report in sorted(ReportFile(data_dir).read().items())]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        if is_terminal():
            print(_lines(row))
            continue
        text = f"{row['endpoint']} {row['state']} since {row['since']} heard={row['heard']}"
        print(f"{text} plugins={row['plugins'] or '-'} events={','.join(row['events']) or '-'}")
    return 0


def _lines(row: Mapping[str, Any]) -> str:
    """A worker as a person reads it on a terminal."""
    state = styled(f"{row['state']:<8}", GREEN if row["state"] == "live" else YELLOW)
    times = f"since {row['since']}, last report {row['heard']}, plugins {row['plugins'] or '-'}"
    events = ", ".join(row["events"]) or "none"
    return "\n".join(
        [
            f"{state} {styled(row['endpoint'], BOLD)}",
            styled(wrapped(times, 9), DIM),
            wrapped(f"events: {events}", 9),
        ]
    )


def _row(report: StoredReport, apigw_runs: bool) -> dict[str, Any]:
    state = "dropped" if report.dropped else report.state.value
    if report.state is State.LIVE and not apigw_runs:
        # Stale: written by an APIGW that ended without updating it.
        state = "unknown"
    return {
        "endpoint": report.endpoint,
        "state": state,
        "since": _timestamp(report.since),
        "heard": _timestamp(report.heard_at) if report.heard_at else "never",
        "plugins": report.generation[:SHORT],
        "events": sorted(report.counted),
    }


def _forget(data_dir: Path, name: str) -> int:
    apigw_runs = _apigw_runs(data_dir)
    endpoint = name

    def drop(entries: Entries) -> None:
        nonlocal endpoint
        endpoint = _named(entries, name)
        report = entries.get(endpoint)
        if report is not None and report.state is State.LIVE and apigw_runs:
            raise BadSetting(
                f"nodes forget: {endpoint} answers now; stop that worker, or take it out of"
                " --lambda_endpoints, first"
            )
        entries[endpoint] = StoredReport(
            endpoint=endpoint,
            handles=frozenset(),
            generation="",
            heard_at=report.heard_at if report else 0.0,
            state=State.AWAY,
            since=datetime.now(UTC).timestamp(),
            dropped=True,
        )

    with _clear_errors(data_dir):
        ReportFile(data_dir).edit(drop)
    print(f"dropped the report of {endpoint}; a running APIGW takes it within a second")
    return 0


def _named(entries: Entries, name: str) -> str:
    """The endpoint named by its URL or by `host:port`; raises BadSetting."""
    found = [endpoint for endpoint in entries if name in (endpoint, endpoint.partition("://")[2])]
    if len(found) == 1:
        return found[0]
    if "://" not in name:
        known = ", ".join(sorted(entries)) or "none"
        raise BadSetting(f"nodes forget: no worker {name!r} has ever reported; known: {known}")
    # A configured worker that never reported: treated as a worker that handles no events.
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
        raise BadResource(
            f"--data_dir={data_dir}: cannot be written: {error.strerror};"
            " run this as the user of the service"
        ) from None


def _apigw_runs(data_dir: Path) -> bool:
    """Whether a process holds the lock of the data directory.

    Read from /proc/locks: trying to acquire the lock could make the start of an APIGW fail.
    """
    try:
        inode = (data_dir / "apigw.lock").stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any("FLOCK" in line and f":{inode} " in line for line in lines)


def _timestamp(seconds: float) -> str:
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
