"""`MU`: a dict whose keys are attributes too, all the way down."""

from typing import Any

from box import Box


class MU(Box):
    """`MU(json.loads(request.body)).bucket`; a missing name raises AttributeError.

    It is a dict, so it goes wherever a dict goes (`json.dumps`, `callout(body=...)`).
    """

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
