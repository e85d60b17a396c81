"""The command behind `scripts/bench`: runs benches in a folder of its own and prints tables."""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench import small
from tests.bench.small import Row


def main(argv: Sequence[str]) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each bench (5)")
    parser.add_argument("--seconds", type=float, default=8, help="seconds of a round (8)")
    parser.add_argument("--size", type=int, default=16 << 10, help="bytes of an upload (16384)")
    parser.add_argument("--folder", type=Path, help="where files go (a temporary folder)")
    parser.add_argument("--json", type=Path, help="file that takes the figures as JSON")
    wanted = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        rows = []
        for row in small.measure(
            Path(folder) / "synchronous",
            small.synchronous,
            work=f"{wanted.size} bytes, event before and after, full durability",
            size=wanted.size,
            rounds=wanted.rounds,
            seconds=wanted.seconds,
        ):
            rows.append(row)
            print(line(row), flush=True)
    if wanted.json:
        figures = {"machine": machine(), "rows": [asdict(row) for row in rows]}
        wanted.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def line(row: Row) -> str:
    """One row, for people."""
    return (
        f"{row.server}, {row.work}, {row.connections} connection(s): {row.rate:.0f}/s,"
        f" p50 {row.p50:.1f} ms, p99 {row.p99:.1f} ms,"
        f" {row.cpu_ms:.2f} ms of processor each, {row.failed} failed"
    )


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpus = [
        text.partition(":")[2].strip()
        for text in Path("/proc/cpuinfo").read_text().splitlines()
        if text.startswith("model name")
    ]
    return {
        "cpu": f"{len(cpus)} x {cpus[0] if cpus else platform.machine()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
