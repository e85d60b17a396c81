"""The long form: `python -m tests.chaos --seed=N --seconds=S`; exit status 1 when a rule broke."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.trial import Trial, seed_by_chance

#: Breaches that are shown of one rule.
SHOWN = 20


def main() -> int:
    """Run one trial and print what came of it."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="what chance begins with")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long (default: 300)")
    parser.add_argument("--apigws", type=int, default=1, help="APIGW processes (default: 1)")
    given = parser.parse_args()
    seed = seed_by_chance() if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="qmonus-lite-chaos-"))
    result = Trial(folder / "installation", seed=seed, apigws=given.apigws).run(given.seconds)
    print(result.summary)
    for rule, breaches in result.faults.items():
        for breach in breaches[:SHOWN]:
            print(f"{rule}: {breach}")
    if any(result.faults.values()):
        print(f"files, logs and outbox: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
