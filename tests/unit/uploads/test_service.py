"""The upload service: how an upload was decided is observed, whatever the decision was."""

from types import SimpleNamespace
from typing import cast

import pytest

from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.auth.own import OwnCredentials
from qmonus_lite.errors import Forbidden
from qmonus_lite.events.query import EventQuery
from qmonus_lite.headers import Headers
from qmonus_lite.observations import Observation, Observers, RequestRecord, UploadDecided
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.stores.memory import MemoryStore
from qmonus_lite.uploads.active import ActiveUploads
from qmonus_lite.uploads.completion import Completion
from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.service import UploadService


class ServiceSetup:
    """A service without handlers, whose default authorization can be set to refuse."""

    def __init__(self, observers: Observers) -> None:
        self.refuses = False
        self.own = OwnCredentials(minters=())
        self.store = MemoryStore()
        self.service = UploadService(
            template=PathTemplate.parse("/upload/{filepath}", rest="filepath"),
            query=cast(EventQuery, SimpleNamespace(is_handled=lambda _event: False)),
            gatekeeper=cast(Gatekeeper, self),
            store=self.store,
            active=ActiveUploads(
                completion=cast(Completion, None), quota=Quota(), observers=observers
            ),
        )

    def known(self, _headers: object) -> None:
        return None

    def authorize(self, _headers: object, _method: str, _path: str, *, client: str) -> None:
        if self.refuses:
            raise Forbidden("no")

    async def open(self) -> None:
        head = UploadRequest(
            raw_path="/upload/f",
            values={"filepath": "f"},
            params={},
            headers=Headers({}),
            length=3,
            record=RequestRecord(request_id="r1"),
        )
        await (await self.service.open(head)).abort()


async def test_an_allowed_upload_is_observed_with_its_id() -> None:
    seen: list[Observation] = []
    await ServiceSetup(Observers([(UploadDecided, seen.append)])).open()

    (decided,) = seen
    assert isinstance(decided, UploadDecided)
    assert (decided.request_id, decided.path, decided.outcome) == ("r1", "/upload/f", "allowed")
    assert decided.upload_id and decided.account is None and 0 <= decided.seconds < 60


async def test_a_refused_upload_is_observed_with_the_code_of_its_refusal() -> None:
    seen: list[Observation] = []
    setup = ServiceSetup(Observers([(UploadDecided, seen.append)]))
    setup.refuses = True
    with pytest.raises(Forbidden):
        await setup.open()

    (decided,) = seen
    assert isinstance(decided, UploadDecided)
    assert (decided.upload_id, decided.outcome) == ("", "forbidden")
    assert setup.store.pending == {}


async def test_without_a_listener_nothing_is_observed() -> None:
    setup = ServiceSetup(Observers())
    await setup.open()

    assert setup.service.under_way == set()
