"""An upgrade loses no event: the data directory of a killed older version, started by this one.

The code of the older version is not in this repository, so its data directory is made from the SQL
of its tables (`tests/upgrade/sql`). `python -m tests.upgrade --old=CHECKOUT` is the heavy form: it
runs a checkout of the older version, with more events.
"""

from pathlib import Path

import pytest

from tests.upgrade.old_format import OLD_SCHEMAS
from tests.upgrade.trial import UpgradeTrial

WAITING = 1000


@pytest.mark.parametrize("schema", OLD_SCHEMAS)
def test_no_event_of_an_older_version_is_lost_or_comes_under_another_id(
    tmp_path: Path, schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = UpgradeTrial(tmp_path)
    expected = trial.fill(WAITING, schema=schema)
    result = trial.run(expected)

    with capsys.disabled():
        print(f"\n{result.summary}")
    assert result.faults == []
    assert (result.waiting, result.in_doubt) == (WAITING + 5, 40)
    # Each in-doubt delivery may have begun before the crash, and says so.
    attempts = {line.event_id: line.attempt for line in trial.delivered()}
    assert {attempts[event_id] for event_id in expected.in_doubt & set(attempts)} == {2}
    dead = trial.installation.run("events", "list", f"--base_dir={trial.installation.base}").stdout
    assert [line.split()[:2] for line in dead.splitlines()] == [
        [f"dead-{number}", "dead"] for number in range(5)
    ]
    actions = [word for word in trial.installation.log.split() if word.startswith("action=")]
    assert actions.count("action=data_dir_migrated") == 1


def test_a_directory_of_a_newer_version_is_refused_by_one_line(tmp_path: Path) -> None:
    trial = UpgradeTrial(tmp_path)
    trial.installation.data.mkdir()
    (trial.installation.data / "format.json").write_text('{"format": 999}')
    refused = trial.installation.run("apigw", *trial.installation.own_flags)

    assert refused.returncode == 2
    assert "has format 999, made by a newer version" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
