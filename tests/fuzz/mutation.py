"""A small fuzzer that needs no instrumentation: samples, cut and stirred, from a seed."""

import random
from collections.abc import Sequence

from tests.fuzz.samples import MOST


class Mutation:
    """Makes up inputs; the same seed makes the same ones in the same order."""

    def __init__(self, seed: int, samples: Sequence[bytes], words: Sequence[bytes]) -> None:
        self._random = random.Random(seed)
        self._samples = samples
        self._words = words

    def next(self) -> bytes:
        """Another input."""
        data = bytearray(self._random.choice(self._samples))
        for _ in range(self._random.randint(0, 6)):
            self._stir(data)
        return bytes(data[:MOST])

    def _stir(self, data: bytearray) -> None:
        at, other = sorted(self._random.randint(0, len(data)) for _ in range(2))
        match self._random.randrange(5):
            case 0:
                data[at:at] = self._random.choice(self._words)
            case 1:
                data[at:other] = self._random.choice(self._words)
            case 2:
                del data[at:other]
            case 3:
                data[at:at] = data[at:other]
            case _:
                data[at : at + 1] = self._random.randbytes(self._random.randint(0, 3))
