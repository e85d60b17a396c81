"""`MU`: a dict with attribute access to its keys, recursively."""

from typing import Any

from box import Box


class MU(Box):
    """`MU(json.loads(request.body)).bucket`; a missing name raises AttributeError.

    A dict subclass, so it can be used wherever a dict can (`json.dumps`, `callout(body=...)`).
    """

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
