"""What was acknowledged is never lost, what is visible is never half: the short form of chaos."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.trial import Trial, seed_by_chance


@dataclass(frozen=True, kw_only=True)
class Length:
    """Seconds of killing; what it has to reach, and does in them unless the machine is busy."""

    seconds: int
    least: Mapping[str, int]


SHORT = Length(seconds=30, least={"kills": 12, "acknowledged": 800})
LONG = Length(seconds=60, least={"kills": 30, "acknowledged": 2000})
#: The same for several APIGWs and their writer process, which come back more slowly.
SHORT_SEVERAL = Length(seconds=20, least={"kills": 3, "acknowledged": 400})
LONG_SEVERAL = Length(seconds=40, least={"kills": 5, "acknowledged": 1000})


@pytest.mark.timeout(420)
def test_nothing_acknowledged_is_lost_while_processes_are_killed(
    tmp_path: Path, report_figures: Callable[[str], None], long_form: bool
) -> None:
    seed, length = seed_by_chance(), LONG if long_form else SHORT
    print(f"seed {seed}")

    result = Trial(tmp_path / "installation", seed=seed).run(length.seconds, least=length.least)

    report_figures(result.summary)
    broken = {rule: breaches for rule, breaches in result.faults.items() if breaches}
    assert broken == {}, f"again: scripts/chaos --seed={seed} --seconds={length.seconds}"
    assert all(result.figures[name] >= least for name, least in length.least.items())
    # Both ways in were taken, and at least one event came twice: else less was shown than it seems.
    # Few kills need not make a duplicate; test_delivery.py makes each kind of them.
    assert 0 < result.figures["by the gate"] < result.figures["events"]
    assert result.figures["duplicates"] > 0 or not long_form


@pytest.mark.timeout(420)
def test_nothing_is_lost_either_while_several_apigws_and_their_writer_process_are_killed(
    tmp_path: Path, report_figures: Callable[[str], None], long_form: bool
) -> None:
    seed, length = seed_by_chance(), LONG_SEVERAL if long_form else SHORT_SEVERAL
    print(f"seed {seed}")

    trial = Trial(tmp_path / "installation", seed=seed, apigws=2)
    result = trial.run(length.seconds, least=length.least)

    report_figures(result.summary)
    broken = {rule: breaches for rule, breaches in result.faults.items() if breaches}
    again = f"scripts/chaos --seed={seed} --seconds={length.seconds} --apigws=2"
    assert broken == {}, f"again: {again}"
    assert all(result.figures[name] >= least for name, least in length.least.items())
