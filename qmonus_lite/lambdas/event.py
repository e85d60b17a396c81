"""The event passed to handlers: a dict with case-insensitive lookup of headers."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite.headers import Headers
from qmonus_lite.pathtemplate import normalized


class Event(dict[str, Any]):
    """`event["path"]`, `event["headers"]["x-auth-token"]`, `event.get("X-Auth-Token")`.

    `get` of a key with a hyphen that the event lacks looks among the headers, as the founding
    page's sample does. Other keys do not, so that a client cannot set by a header what a handler
    reads there.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        if isinstance(data.get("headers"), Mapping):
            self["headers"] = Headers(data["headers"])
        # A previous handler may have changed the path of an upload: the next one must check the
        # path that will be stored.
        if "resources" in data and isinstance(data.get("path"), str):
            self["path"] = normalized(data["path"])

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, else of a header of that name if it has a hyphen, else `default`."""
        if key in self:
            return self[key]
        # Keys of a dict may be of any type.
        if "-" not in str(key):
            return default
        headers = super().get("headers")
        return headers.get(key, default) if isinstance(headers, Headers) else default
