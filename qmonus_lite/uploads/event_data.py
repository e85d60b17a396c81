"""Event data of an upload: of the request/reply event, and of the pending event.

The request/reply event has the client's headers unchanged, since handlers may decide by them. A
pending event may stay in the outbox for days and go to every worker, so its credentials are masked.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.auth import apikey, caller_ids, callout_pass
from qmonus_lite.auth.gatekeeper import Actor, Gatekeeper
from qmonus_lite.auth.own import OwnCredentials, masked
from qmonus_lite.errors import CredentialInQuery
from qmonus_lite.events.gateway import FIELDS, UNFILLED
from qmonus_lite.events.published import MASKED
from qmonus_lite.pathtemplate import normalized
from qmonus_lite.redaction import MASK
from qmonus_lite.scripting.context import GATE_DEPTH
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.target import Target

#: Fields of a pending event that follow those of its question.
_LAST_FIELDS = frozenset({*FIELDS, "mime", "bytes"})


def question_data(
    head: UploadRequest, target: Target, gatekeeper: Gatekeeper
) -> tuple[dict[str, Any], Actor | None]:
    """Data of the request/reply event, and the actor; sets the account in the upload's record.

    Raises CredentialInQuery for a credential in the query.
    """
    if head.params and gatekeeper.own.shown_in(head.params):
        raise CredentialInQuery(apikey.SHOWN)
    # A plain dict of canonical names, for fast lookups.
    headers = dict(head.headers)
    actor = gatekeeper.known(headers)
    head.record.account = actor.name if actor else None
    # The pass authorizes this callout only, so handlers must not see it.
    headers.pop(callout_pass.HEADER, None)
    headers.pop(caller_ids.HEADER, None)
    if headers.pop(GATE_DEPTH, None) is not None and (depth := gatekeeper.gate_depth(head.headers)):
        # Verified here, so that the worker need not.
        headers[GATE_DEPTH] = str(depth)
    data = {
        "path": target.path,
        "resources": target.resources,
        "params": _normalized(head.params) if head.params else {},
        "headers": headers,
        "account": actor.account if actor else None,
        "length": head.length,
    }
    return data, actor


def _normalized(params: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The query in NFC, like the path: handlers may build names from it."""
    found: dict[str, list[str]] = {}
    for name, texts in params.items():
        found.setdefault(normalized(name), []).extend(map(normalized, texts))
    return found


def stored_event_data(
    event: Mapping[str, Any],
    accepted: Mapping[str, Any],
    stored: Mapping[str, Any],
    unmasked: frozenset[str],
    own: OwnCredentials,
) -> str:
    """JSON of an event after its handlers have run, updated with the gateway's fields.

    These are `accepted` (`path`, `account`, `length`), then the fields that are made at delivery
    (`events.gateway`), then `stored` (`mime`, `bytes`). Credential headers are masked except those
    in `unmasked` (names in lower case), and so are the gateway's own credentials in any other
    header.
    """
    if _LAST_FIELDS.isdisjoint(event):
        text = _masked_text({**event, **accepted}, unmasked, own)
        return f"{text[:-1]},{UNFILLED},{strictjson.write_plain(stored)[1:].decode()}"
    # A handler has set some of the fields: they keep their places in its event.
    return _masked_text({**event, **accepted, **dict.fromkeys(FIELDS), **stored}, unmasked, own)


def _masked_text(data: dict[str, Any], unmasked: frozenset[str], own: OwnCredentials) -> str:
    headers = data.get("headers")
    # A handler may have replaced the headers by any value.
    if not isinstance(headers, dict):
        return strictjson.write(data)
    hidden = _hidden(unmasked) if unmasked else MASKED
    data["headers"] = headers = {
        name: MASK if name.lower() in hidden else value for name, value in headers.items()
    }
    text = strictjson.write(data)
    if "qml_" not in text and "eyJ" not in text:
        return text
    data["headers"] = {
        name: value if name.lower() in unmasked else _without_own(value, own)
        for name, value in headers.items()
    }
    return strictjson.write(data)


@lru_cache(maxsize=8)
def _hidden(unmasked: frozenset[str]) -> frozenset[str]:
    return MASKED - unmasked


def _without_own(value: Any, own: OwnCredentials) -> Any:
    return masked(value, own.found_in(value)) if isinstance(value, str) else value
