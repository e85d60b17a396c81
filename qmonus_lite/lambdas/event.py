"""The event that handlers see: a dict, with headers looked up without regard to case."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite.headers import Headers


class Event(dict[str, Any]):
    """`event["path"]`, `event["headers"]["x-auth-token"]`, `event.get("X-Auth-Token")`.

    `get` of a key that the event lacks looks among the headers, as the founding page's sample does.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        if isinstance(data.get("headers"), Mapping):
            self["headers"] = Headers(data["headers"])

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, else of a header of that name, else `default`."""
        if key in self:
            return self[key]
        headers = super().get("headers")
        return headers.get(key, default) if isinstance(headers, Headers) else default
