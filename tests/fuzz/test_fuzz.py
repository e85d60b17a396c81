"""The short form: every target for two seconds, with inputs from a seed that is printed."""

import time

import pytest

from tests.chaos.trial import seed_by_chance
from tests.fuzz.mutation import Mutation
from tests.fuzz.samples import SAMPLES, WORDS
from tests.fuzz.targets import TARGETS

#: Seconds for each target.
SECONDS = 2.0
#: Seconds of processor time for one input: what takes longer would hold up a process.
MAX_INPUT_SECONDS = 1.0


@pytest.mark.parametrize("name", TARGETS)
def test_only_refusals_of_ours_come_out(name: str) -> None:
    seed = seed_by_chance()
    mutation = Mutation(seed, SAMPLES[name], WORDS[name])
    for sample in SAMPLES[name]:
        TARGETS[name](sample)
    end, tried = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        began = time.process_time()
        data = mutation.next()
        tried += 1
        try:
            TARGETS[name](data)
        except Exception:
            print(f"seed {seed}, input {tried}: {data!r}")
            raise
        assert time.process_time() - began < MAX_INPUT_SECONDS, (
            f"seed {seed}, input {tried}: {data!r}"
        )
    assert tried > 10


def test_a_seed_makes_the_same_inputs_again() -> None:
    first, second = (Mutation(7, SAMPLES["names"], WORDS["names"]) for _ in range(2))

    assert [first.next() for _ in range(50)] == [second.next() for _ in range(50)]
