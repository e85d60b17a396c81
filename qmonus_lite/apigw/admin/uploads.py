"""`/-/uploads`: list the records of uploads and refused requests, and show one."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from qmonus_lite.apigw.admin import roles
from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.apigw.query import read_query
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import InvalidQuery, NotFound, RecordsUnavailable
from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response, json_response
from qmonus_lite.records.record import STATES, for_account
from qmonus_lite.records.recorder import Recorder
from qmonus_lite.records.store import RecordFilter, RecordsFailed, RecordStore
from qmonus_lite.values import Value, changed

#: Records of a page: at most, and without `limit`.
MAX_LISTED, LISTED = 500, 100
_MAX_CURSOR = 2**62


class UploadsResource(Value, frozen=True, kw_only=True):
    """The records, for operators; an account sees its own."""

    #: None if nothing is recorded.
    recorder: Recorder | None
    gatekeeper: Gatekeeper

    async def list(self, request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """List records, newest first; raises InvalidQuery or RecordsUnavailable."""
        account = roles.account_limit(self.gatekeeper, request)
        given = {name: values[-1] for name, values in read_query(request.query).items()}
        wanted, limit = _filter(given), _limit(given.get("limit"))
        if account is not None and wanted.account not in {None, account}:
            return json_response({"uploads": []})
        store = self._store()
        return json_response(await _read(lambda: _page(store, wanted, limit, account)))

    async def show(self, request: Request, _body: Body, values: Mapping[str, str]) -> Response:
        """Return a record with its attempts; raises NotFound or RecordsUnavailable."""
        account = roles.account_limit(self.gatekeeper, request)
        store, wanted = self._store(), unquote(values["id"])
        found = await _read(lambda: _detail(store, wanted, account))
        if found is None:
            raise NotFound(
                "no record has this id; what was recorded is said by --records, --record_max_age"
                " and --record_max_rows"
            )
        return json_response(found)

    def _store(self) -> RecordStore:
        if self.recorder is None:
            raise RecordsUnavailable("nothing is recorded here (--records=none)")
        if self.recorder.store is None:
            raise RecordsUnavailable("the records cannot be opened; see the log")
        return self.recorder.store


async def _read(work: Callable[[], Any]) -> Any:
    # On a thread: the database may be waiting for its disk, and a page takes long to convert.
    try:
        return await asyncio.to_thread(work)
    except RecordsFailed:
        raise RecordsUnavailable("the records cannot be read; see the log") from None


def _page(store: RecordStore, wanted: RecordFilter, limit: int, account: str | None) -> Any:
    if account is None:
        return json_value(store.page(wanted, limit))
    page = store.page(changed(wanted, account=account), limit)
    return json_value(changed(page, uploads=tuple(map(for_account, page.uploads))))


def _detail(store: RecordStore, wanted: str, account: str | None) -> Any:
    for detail in store.find(wanted):
        if account is None:
            return json_value(detail)
        if detail.account == account:
            return json_value(for_account(detail))
    return None


def _filter(given: Mapping[str, str]) -> RecordFilter:
    state = given.get("state") or None
    if state is not None and state not in STATES:
        raise InvalidQuery(f"state has to be one of {', '.join(STATES)}")
    return RecordFilter(
        account=given.get("account") or None,
        code=given.get("code") or None,
        state=state,
        path=given.get("path") or None,
        since=_since(given.get("since")),
        **_cursor(given.get("cursor")),
    )


def _since(text: str | None) -> float | None:
    if not text:
        return None
    try:
        # In a query, a plus that is not encoded is a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidQuery("since has to be a time with its offset, as in 2026-01-31T12:00:00Z")
    return moment.timestamp()


def _cursor(text: str | None) -> dict[str, int]:
    if not text:
        return {}
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _MAX_CURSOR):
        raise InvalidQuery("cursor has to be `next` of the page before")
    return {"before": int(text)}


def _limit(text: str | None) -> int:
    if not text:
        return LISTED
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_LISTED):
        raise InvalidQuery(f"limit has to be a number from 1 to {MAX_LISTED}")
    return int(text)
