"""Composition of the recorder of a process."""

from qmonus_lite.clock import Clock
from qmonus_lite.observations import Listener
from qmonus_lite.records.recorder import Recorder
from qmonus_lite.records.store import FILE, Bounds
from qmonus_lite.settings.table import Settings


def make_recorder(settings: Settings) -> Recorder | None:
    """The recorder of a process, which its server starts; None if nothing is recorded."""
    records = settings.records
    if records.records == "none":
        return None
    return Recorder(
        settings.storage.state_dir / FILE,
        Clock(settings.logs.timezone),
        Bounds(max_age_seconds=records.record_max_age, max_rows=records.record_max_rows),
        everything=records.records == "all",
    )


def listeners_of(recorder: Recorder | None) -> list[tuple[type, Listener]]:
    """The listeners of a recorder, for `Observers`."""
    return [] if recorder is None else recorder.listeners()
