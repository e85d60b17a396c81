"""The one table of bad inputs (and of good ones that look bad): id, input, what has to come of it.

Ids are those of the list that this table came from; docs/decisions/edge.md says where an answer is
another than the list's.
"""

from collections.abc import Iterable

from tests.acceptance.edge.table import credentials, documents, messages, plugins, requests
from tests.acceptance.edge.table.row import Row

#: Every id of that list, by the first and last of each part.
IDS = tuple(
    f"B{number:02}"
    for first, last in ((1, 36), (40, 65), (70, 92), (100, 113), (120, 137))
    for number in range(first, last + 1)
)

REQUESTS = [
    row
    for part in (
        requests.FRAMING,
        requests.HEADS,
        requests.NAMES,
        requests.CONDITIONS,
        requests.BODIES,
        documents.DOCUMENTS,
    )
    for row in part
]


def everything() -> Iterable[Row]:
    """All rows of all kinds."""
    return [
        *REQUESTS,
        *credentials.ROWS,
        credentials.TWINS,
        *plugins.ROWS,
        *plugins.COMMANDS,
        *messages.ROWS,
    ]
