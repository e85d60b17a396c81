"""What was acknowledged is never lost, what is visible is never half: the short form of chaos."""

from pathlib import Path

import pytest

from tests.chaos.trial import Trial, seed_by_chance

#: Seconds of killing; what it has to reach in them.
SECONDS, LEAST_KILLS, LEAST_ACKNOWLEDGED = 60, 30, 2000


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_while_processes_are_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = seed_by_chance()

    result = Trial(tmp_path / "installation", seed=seed).run(SECONDS)

    with capsys.disabled():
        print(f"\n{result.summary}")
    broken = {rule: breaches for rule, breaches in result.faults.items() if breaches}
    assert broken == {}, f"again: scripts/chaos --seed={seed} --seconds={SECONDS}"
    assert result.figures["kills"] >= LEAST_KILLS
    assert result.figures["acknowledged"] >= LEAST_ACKNOWLEDGED
    # Both ways in were taken, and at least one event came twice: else less was shown than it seems.
    assert 0 < result.figures["by the gate"] < result.figures["events"]
    assert result.figures["duplicates"] > 0
