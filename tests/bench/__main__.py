"""Measure what an upload costs, beside other servers in the same run, and print a table.

Rows to choose from:
"""

import argparse
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.acceptance.process import TOP
from tests.bench import report, rows
from tests.bench.machine import commit, disk, machine, versions
from tests.bench.report import Origin, Report
from tests.bench.run_settings import RunSettings

STORED = TOP / "docs" / "benchmarks.json"
PAGE = TOP / "docs" / "benchmarks.md"
_WIDEST = max(map(len, rows.ROWS))


def main(argv: Sequence[str]) -> int:
    """Run what was asked for; the status is 1 when a row could not be measured."""
    # Ends by an exception, so that what runs is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    wanted = _parser().parse_args(argv)
    if wanted.page:
        _write(None)
        return 0
    keys = [key for key in rows.ROWS if not wanted.row or key in wanted.row]
    with _settings(wanted) as settings:
        return _run(keys, settings, wanted)


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {key:{_WIDEST}}  {rows.summary(key)}" for key in rows.ROWS)
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=textwrap.dedent(__doc__ or "") + listed,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("row", nargs="*", type=_row, metavar="ROW", help="(all)")
    parser.add_argument("--rounds", type=int, default=rows.ENOUGH, help="counted rounds (7)")
    parser.add_argument("--size", type=_size, default=2 << 30, help="of the large file (2GiB)")
    parser.add_argument("--seconds", type=int, default=6, help="of a round of small files (6)")
    parser.add_argument("--disk", type=Path, help="folder on a disk (a temporary one)")
    parser.add_argument("--tmpfs", type=Path, default=Path("/dev/shm"), help="(/dev/shm)")
    parser.add_argument("--json", type=Path, help="file that takes the figures")
    parser.add_argument(
        "--write", action="store_true", help="put them into docs/benchmarks.json and .md"
    )
    parser.add_argument(
        "--page", action="store_true", help="only make docs/benchmarks.md from the stored figures"
    )
    return parser


def _command(wanted: argparse.Namespace) -> str:
    """What to type to measure the same elsewhere, so without places of this machine."""
    words = ["scripts/bench", *wanted.row, f"--rounds={wanted.rounds}"]
    return " ".join([*words, f"--size={wanted.size >> 20}MiB", f"--seconds={wanted.seconds}"])


def _row(text: str) -> str:
    if text not in rows.ROWS:
        raise argparse.ArgumentTypeError(f"there is no row {text}; see --help")
    return text


def _size(text: str) -> int:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(text)


@contextmanager
def _settings(wanted: argparse.Namespace) -> Iterator[RunSettings]:
    """Folders of our own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=wanted.disk) as on_disk:
        given = {"size": wanted.size, "rounds": wanted.rounds, "seconds": wanted.seconds}
        if not wanted.tmpfs.is_dir():
            yield RunSettings(on_disk=Path(on_disk), in_memory=None, **given)
            return
        with tempfile.TemporaryDirectory(prefix="bench-", dir=wanted.tmpfs) as in_memory:
            yield RunSettings(on_disk=Path(on_disk), in_memory=Path(in_memory), **given)


def _run(keys: Sequence[str], settings: RunSettings, wanted: argparse.Namespace) -> int:
    found = Report(machine=machine(), versions=versions())
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    origin = Origin(date=today, commit=commit(), command=_command(wanted), disk=disk(settings))
    for key in keys:
        row = rows.measured(key, settings)
        print("\n".join(report.lines(row)), flush=True)
        found = replace(
            found, rows={**found.rows, key: row}, origins={**found.origins, key: origin}
        )
        # Row by row, so that a run that is broken off leaves what it found.
        if wanted.json:
            report.store(found, wanted.json)
        if wanted.write:
            _write(found)
    if len(keys) > 1:
        print("\n".join(report.verdicts(found)))
    return int(any(row.missing for row in found.rows.values()))


def _write(found: Report | None) -> None:
    """Put what was found beside what is stored, and make the page from both."""
    stored = report.read(STORED)
    if found is not None:
        stored = found.after(stored)
        report.store(stored, STORED)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(report.page(text, stored, [*rows.ROWS]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
