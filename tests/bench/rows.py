"""All rows of the table by name, in its order."""

from collections.abc import Callable
from dataclasses import replace

from tests.bench import large, live, memory, small
from tests.bench.figures import Row, Unavailable
from tests.bench.run_settings import RunSettings

#: Rounds below which a median says little.
ENOUGH = 7

ROWS: dict[str, Callable[[RunSettings], Row]] = {
    "tmpfs": large.on_tmpfs,
    "tls": large.by_tls,
    "chunked": large.in_chunks,
    "chunked-tls": large.in_chunks_by_tls,
    "disk": large.on_disk,
    "digest": large.with_digest,
    "peers": large.beside_others,
    "memory": memory.resident,
    "live": live.eight,
    "live-busy": live.busy,
    "small": small.beside_others,
    "asked": small.asked,
    "asked-16k": small.asked_16k,
    "price": small.price,
}


def measured(key: str, settings: RunSettings) -> Row:
    """The row, or why there is none."""
    try:
        found = ROWS[key](settings)
    except Unavailable as error:
        return Row(key=key, title=summary(key), missing=str(error))
    if found.rounds >= ENOUGH:
        return found
    trial = f"A trial: fewer than {ENOUGH} rounds."
    return replace(found, notes=(trial, *found.notes))


def summary(key: str) -> str:
    """What a row is about, in a line."""
    return (ROWS[key].__doc__ or key).partition("\n")[0].removesuffix(".")
