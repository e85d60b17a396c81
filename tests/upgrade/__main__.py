"""The heavy form of the upgrade trial: `python -m tests.upgrade [--old=CHECKOUT] [--events=N]`.

With a checkout of an older version (with its `.venv`) that version really runs and is killed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.upgrade.trial import UpgradeTrial


def main() -> int:
    """Run one trial; the exit status is 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("--old", type=Path, help="checkout of the older version")
    parser.add_argument("--events", type=int, default=10_000, help="events that wait")
    parser.add_argument("--in-doubt", type=int, default=60, help="uploads before the kill")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial = UpgradeTrial(Path(folder))
        if given.old:
            expected = trial.run_old(given.old.resolve(), given.events, given.in_doubt)
        else:
            expected = trial.fill(given.events)
        result = trial.run(expected, within=600)
    print(result.summary)
    for fault in result.faults[:20]:
        print(fault)
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
