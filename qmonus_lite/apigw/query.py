"""Query arguments of a request."""

from urllib.parse import parse_qs

from qmonus_lite.auth import apikey
from qmonus_lite.errors import CredentialInQuery, InvalidQuery

#: Maximum number of query arguments.
MAX_QUERY_ARGUMENTS = 1000


def read_query(text: str) -> dict[str, list[str]]:
    """Query arguments, name -> list of values; raises InvalidQuery, CredentialInQuery."""
    if not text:
        return {}
    try:
        found = parse_qs(
            text, keep_blank_values=True, max_num_fields=MAX_QUERY_ARGUMENTS, errors="strict"
        )
    except ValueError:
        raise InvalidQuery("the query has too many arguments or is not UTF-8") from None
    if apikey.shown_in(found):
        # It is already in logs and histories, and would leak into events and to backends.
        raise CredentialInQuery(apikey.SHOWN)
    return found
