"""Rows of the records database from observations; no credential gets into them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from qmonus_lite import strictjson
from qmonus_lite.errors import Refusal
from qmonus_lite.observations import (
    DeliveryTried,
    RanHandler,
    RequestAnswered,
    RequestCut,
)
from qmonus_lite.redaction import redact
from qmonus_lite.surrogates import escape_surrogates
from qmonus_lite.values import as_dict, changed

#: Maximum characters of a text in a row.
MAX_TEXT = 2000

Row = dict[str, Any]
#: A named statement with its parameters.
Statement = tuple[str, Row]


def record_row(ended: RequestAnswered | RequestCut, at: float) -> Row:
    """The row of a request that ended at `at`, in seconds since the epoch."""
    asked = _text(unquote(ended.path))
    return {
        "at": at - ended.seconds,
        "request_id": _text(ended.request_id),
        "trace_id": ended.trace_id,
        "upload_id": ended.upload_id,
        "event_id": _event_id(ended),
        "method": _text(ended.method),
        "asked": asked,
        "path": _text(ended.stored_path) or asked,
        "account": None if ended.account is None else _text(ended.account),
        "peer": _text(ended.peer),
        "status": ended.status if isinstance(ended, RequestAnswered) else None,
        "state": _state(ended),
        "handlers": _handlers(ended.handlers),
        "bytes": ended.bytes,
        "digest": ended.digest,
        "seconds": ended.seconds,
        "seconds_to_open": ended.seconds_to_open,
        "seconds_to_seal": ended.seconds_to_seal,
        **_refusal(ended.refusal),
    }


def _event_id(ended: RequestAnswered | RequestCut) -> str:
    """The id of the event of an upload, empty if it was refused: then there is no such event.

    After a 5xx the upload may be stored all the same, and its event delivered.
    """
    refused = isinstance(ended, RequestAnswered) and 400 <= ended.status < 500
    return "" if refused else ended.event_id


def attempt_row(tried: DeliveryTried, at: float) -> Row:
    """The row of an attempt that ended at `at`, in seconds since the epoch."""
    refusal = tried.refusal
    if refusal is None and tried.reason:
        refusal = Refusal(rule="no-outcome" if tried.code == 599 else "failed", reason=tried.reason)
    return {
        "at": at,
        "event_id": tried.event_id,
        "event": _text(tried.event),
        "request_id": _text(tried.request_id),
        "upload_id": tried.upload_id,
        "path": _text(tried.path),
        "number": tried.attempt,
        "outcome": tried.outcome,
        "status": tried.code,
        "worker": _text(tried.worker),
        "seconds": tried.seconds,
        "delay": tried.delay,
        "handlers": _handlers(tried.handlers),
        **_refusal(refusal),
    }


def _state(ended: RequestAnswered | RequestCut) -> str:
    if isinstance(ended, RequestCut):
        return "cut"
    if ended.refusal is not None:
        return "refused"
    return "stored" if ended.stored_path else "answered"


def _refusal(refusal: Refusal | None) -> Row:
    given = refusal or Refusal()
    return {
        "code": None if refusal is None else _text(given.rule),
        "reason": _text(given.reason),
        "plugin": None if given.plugin is None else _text(given.plugin),
        "file": _text(given.file),
        "line": given.line,
        "content_hash": given.content_hash,
    }


def _handlers(handlers: Sequence[RanHandler]) -> str:
    if not handlers:
        return ""
    texts = [
        changed(handler, plugin=_text(handler.plugin), file=_text(handler.file))
        for handler in handlers
    ]
    return strictjson.write([as_dict(handler) for handler in texts])


def _text(value: str) -> str:
    """The text as SQLite can store it, secrets masked, and not too long."""
    return redact(escape_surrogates(value))[:MAX_TEXT]
