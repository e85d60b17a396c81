"""The long form: all targets, or those named, share the time; exit status 1 for a finding."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.samples import MOST, SAMPLES, WORDS
from tests.fuzz.targets import TARGETS

#: Seconds for one input, and megabytes for the process, above which it is a finding.
SLOW, MOST_MEMORY = 5, 2048


def main() -> int:
    """Fuzz, and print what was found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets (default: 600)")
    parser.add_argument("--again", type=Path, help="run one target on this input, and no other")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    given = parser.parse_args()
    names = given.targets or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"no target {unknown[0]!r}; there are: {', '.join(TARGETS)}")
    if given.again:
        for name in names:
            TARGETS[name](given.again.read_bytes())
        return 0
    folder = Path(tempfile.mkdtemp(prefix="qmonus-lite-fuzz-"))
    found = [fuzz(name, folder / name, max(1, given.seconds // len(names))) for name in names]
    if any(found):
        return 1
    shutil.rmtree(folder)
    return 0


def fuzz(name: str, folder: Path, seconds: int) -> list[Path]:
    """Fuzz one target; the inputs that it did not bear."""
    corpus, findings = folder / "corpus", folder / "findings"
    for place in (corpus, findings):
        place.mkdir(parents=True)
    for number, sample in enumerate(SAMPLES[name]):
        (corpus / f"sample-{number}").write_bytes(sample)
    words = folder / "words"
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in WORDS[name]), encoding="ascii")
    print(f"{name}: {seconds} s", flush=True)
    log = folder / "log"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.instrumented", name]
            + [f"-max_total_time={seconds}", f"-max_len={MOST}", f"-dict={words}"]
            + [f"-timeout={SLOW}", f"-rss_limit_mb={MOST_MEMORY}"]
            + [f"-artifact_prefix={findings}/", "-print_final_stats=1", str(corpus)],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    inputs = sorted(findings.iterdir())
    said = log.read_text(errors="replace")
    if done.returncode == 0 and not inputs:
        print(_figures(said))
        return []
    print(said[-6000:])
    for file in inputs:
        print(f"{name}: {file.read_bytes()!r}\n  again: scripts/fuzz --again={file} {name}")
    return inputs or [log]


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _figures(said: str) -> str:
    """How much was tried, and how much of the code that reached."""
    stats = [line for line in said.splitlines() if line.startswith("stat::number_of_executed")]
    reached = [line for line in said.splitlines() if " cov: " in line]
    return "\n".join(f"  {line.strip()}" for line in [*stats, *reached[-1:]])


if __name__ == "__main__":
    sys.exit(main())
