"""The command behind `scripts/bench`: runs benches in a folder of its own and prints tables."""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench import large, peers, small
from tests.bench.small import Row


def main(argv: Sequence[str]) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["all", "small", "large"], default="all")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds of each bench (7)")
    parser.add_argument("--seconds", type=float, default=6, help="seconds of a small round (6)")
    parser.add_argument("--size", type=int, default=2 << 30, help="bytes of the large file (2 GiB)")
    parser.add_argument("--disk", type=Path, help="folder on a disk (a temporary one)")
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="folder on a tmpfs")
    parser.add_argument("--json", type=Path, help="file that takes the figures as JSON")
    wanted = parser.parse_args(argv)
    figures: dict[str, object] = {"machine": machine(), "versions": peers.versions()}
    with (
        tempfile.TemporaryDirectory(dir=wanted.disk) as disk,
        tempfile.TemporaryDirectory(dir=wanted.memory) as memory,
    ):
        if wanted.what != "large":
            figures["small"] = list(_small(Path(disk), Path(memory), wanted))
        if wanted.what != "small":
            figures["large"] = list(_large(Path(disk), Path(memory), wanted))
    if wanted.json:
        wanted.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _small(disk: Path, memory: Path, wanted: argparse.Namespace) -> Iterator[dict[str, object]]:
    for number, work in enumerate(small.works()):
        folder = (memory if work.in_memory else disk) / f"small-{number}"
        for row in small.measure(folder, work, rounds=wanted.rounds, seconds=wanted.seconds):
            print(line(row), flush=True)
            yield asdict(row)


def _large(disk: Path, memory: Path, wanted: argparse.Namespace) -> Iterator[dict[str, object]]:
    for folder, durable in ((memory, False), (disk, True)):
        file = large.make_file(folder / "source.bin", wanted.size)
        for number, work in enumerate(large.works(durable)):
            found = large.measure(folder / f"large-{number}", work, file, wanted.rounds)
            print(
                f"{wanted.size >> 20} MiB, {found.work}: {found.wall:.2f} s,"
                f" {found.wall_ratio:.2f} x {found.peer}; processor {found.cpu:.2f} s,"
                f" {found.cpu_ratio:.2f} x ({found.pairs} pairs)",
                flush=True,
            )
            yield asdict(found)
        file.unlink()


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
