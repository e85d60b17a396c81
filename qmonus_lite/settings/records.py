"""Settings of the records of uploads and refused requests."""

from dataclasses import dataclass

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """What is recorded, and for how long."""

    records: str = flag(
        "decided",
        "decided: requests that were refused or cut off, and uploads with a handler; all: also"
        " other uploads; none",
        example="--records=all",
        reader=values.one_of("decided", "all", "none"),
    )
    record_max_age: float = flag(
        2592000.0,
        "seconds after which a record is deleted",
        example="--record_max_age=7d",
        reader=values.seconds,
    )
    record_max_rows: int = flag(
        200_000,
        "records that are kept at most; the oldest are deleted",
        example="--record_max_rows=1000000",
        reader=values.count,
    )
