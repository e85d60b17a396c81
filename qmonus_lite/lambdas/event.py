"""The event that handlers see: a dict, with headers looked up without regard to case."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite.headers import Headers
from qmonus_lite.pathtemplate import normalized


class Event(dict[str, Any]):
    """`event["path"]`, `event["headers"]["x-auth-token"]`, `event.get("X-Auth-Token")`.

    `get` of a key with a hyphen that the event lacks looks among the headers, as the founding
    page's sample does. No other key does: what a handler reads there, a client must not write.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        if isinstance(data.get("headers"), Mapping):
            self["headers"] = Headers(data["headers"])
        # The path of an upload may be what the handler before made of it: the next one is to judge
        # what will be stored.
        if "resources" in data and isinstance(data.get("path"), str):
            self["path"] = normalized(data["path"])

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, else of a header of that name if it has a hyphen, else `default`."""
        if key in self:
            return self[key]
        # A dict may be asked for anything.
        if "-" not in str(key):
            return default
        headers = super().get("headers")
        return headers.get(key, default) if isinstance(headers, Headers) else default
