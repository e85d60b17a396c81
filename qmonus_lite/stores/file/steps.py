"""Steps for several uploads: each step runs for all of them, and skips those that failed."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Steps(Generic[T]):
    """Runs steps for a batch; a failure does not affect the others."""

    def __init__(self, batch: Sequence[T]) -> None:
        self._batch = batch
        #: The error that ended each, or None.
        self.errors: list[BaseException | None] = [None] * len(batch)

    def run(self, step: Callable[[T], object]) -> None:
        """Run a step for each without an error."""
        for index, each in enumerate(self._batch):
            if self.errors[index] is None:
                try:
                    step(each)
                except BaseException as error:
                    self.errors[index] = error
