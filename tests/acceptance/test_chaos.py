"""What was acknowledged is never lost, what is visible is never half: the short form of chaos."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.trial import Trial, seed_by_chance

#: Seconds of killing; what it has to reach, and does in them unless the machine is busy.
SECONDS, LEAST = 60, {"kills": 30, "acknowledged": 2000}


#: The same for several APIGWs and their writer process, which come back more slowly.
SECONDS_SEVERAL, LEAST_SEVERAL = 40, {"kills": 5, "acknowledged": 1000}


@pytest.mark.timeout(420)
def test_nothing_acknowledged_is_lost_while_processes_are_killed(
    tmp_path: Path, report_figures: Callable[[str], None]
) -> None:
    seed = seed_by_chance()
    print(f"seed {seed}")

    result = Trial(tmp_path / "installation", seed=seed).run(SECONDS, least=LEAST)

    report_figures(result.summary)
    broken = {rule: breaches for rule, breaches in result.faults.items() if breaches}
    assert broken == {}, f"again: scripts/chaos --seed={seed} --seconds={SECONDS}"
    assert all(result.figures[name] >= least for name, least in LEAST.items())
    # Both ways in were taken, and at least one event came twice: else less was shown than it seems.
    assert 0 < result.figures["by the gate"] < result.figures["events"]
    assert result.figures["duplicates"] > 0


@pytest.mark.timeout(420)
def test_nothing_is_lost_either_while_several_apigws_and_their_writer_process_are_killed(
    tmp_path: Path, report_figures: Callable[[str], None]
) -> None:
    seed = seed_by_chance()
    print(f"seed {seed}")

    trial = Trial(tmp_path / "installation", seed=seed, apigws=2)
    result = trial.run(SECONDS_SEVERAL, least=LEAST_SEVERAL)

    report_figures(result.summary)
    broken = {rule: breaches for rule, breaches in result.faults.items() if breaches}
    again = f"scripts/chaos --seed={seed} --seconds={SECONDS_SEVERAL} --apigws=2"
    assert broken == {}, f"again: {again}"
    assert all(result.figures[name] >= least for name, least in LEAST_SEVERAL.items())
