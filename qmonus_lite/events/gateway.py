"""Fields of an event that are made at delivery: `address`, `port` and `filepath`.

They depend on where the gateway runs when it delivers, so an event is stored without them. Its data
has them as null: at their place in the object, so that handlers get the keys in one order always.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

from qmonus_lite import strictjson
from qmonus_lite.values import Value

#: Names of the fields.
FIELDS = ("address", "port", "filepath")
#: The fields as most events have them, side by side. Compact JSON has no space outside of its
#: texts, and quotes inside of texts are escaped, so this stands nowhere else in the data.
UNFILLED = '"address": null,"port": null,"filepath": null'


class StoredEvent(Protocol):
    """An event of a log: claimed, or for display."""

    @property
    def data(self) -> str:
        """JSON of the event, the fields null."""

    @property
    def store(self) -> str:
        """Name of the store; empty for an event that a script published."""

    @property
    def store_path(self) -> str:
        """Path in the store; an absolute one stays as it is."""


class Gateway(Value, frozen=True, kw_only=True, dict=True):
    """The present configuration of this gateway, as the events that it delivers show it."""

    address: str
    port: int
    #: Prefix of the location of a file by name of its store: `/srv/files/`, `s3://bucket/`.
    stores: Mapping[str, str]

    def complete(self, event: StoredEvent) -> str:
        """JSON of an event with its fields; raises LookupError for a store that is unknown."""
        if not event.store:
            # Published by a script, as it is.
            return event.data
        front, found, rear = event.data.partition(UNFILLED)
        if found:
            location = strictjson.write_plain(self._location(event)).decode()
            return f'{front}{self._address_and_port},"filepath":{location}{rear}'
        data = strictjson.read(event.data.encode())
        values = {"address": self.address, "port": self.port}
        null = [name for name in FIELDS if name in data and data[name] is None]
        for name in null:
            data[name] = self._location(event) if name == "filepath" else values[name]
        return strictjson.write(data) if null else event.data

    def _location(self, event: StoredEvent) -> str:
        if event.store_path.startswith("/"):
            return event.store_path
        try:
            return self.stores[event.store] + event.store_path
        except KeyError:
            raise LookupError(f"the store {event.store!r} of this event is unknown") from None

    @cached_property
    def _address_and_port(self) -> str:
        return f'"address":{strictjson.write(self.address)},"port":{self.port}'
