"""`/-/live` and `/-/ready`: whether the process serves, and whether uploads can be stored."""

from collections.abc import Callable, Mapping

from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.apigw.resources import Liveness, Readiness
from qmonus_lite.errors import NotReady
from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response, json_response
from qmonus_lite.values import Value


class HealthResource(Value, frozen=True, kw_only=True):
    """Liveness and readiness of one APIGW."""

    #: Why this APIGW is not ready, or None when it is.
    unready: Callable[[], str | None]
    #: Problems for the operator that do not affect readiness.
    warnings: Callable[[], list[str]]

    async def live(self, _request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """Respond with `live`."""
        return json_response(json_value(Liveness()))

    async def ready(self, _request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """Respond with `ready`, and warnings if any; raises NotReady with the reason if not."""
        if reason := self.unready():
            raise NotReady(reason)
        return json_response(json_value(Readiness(warnings=tuple(self.warnings()) or None)))
