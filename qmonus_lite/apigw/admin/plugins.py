"""`/-/plugins` and `/-/openapi.json`: the plugin set in force, and what it serves."""

from collections.abc import Callable, Mapping

from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.catalog.live import Live, describe
from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response, json_response
from qmonus_lite.values import Value


class PluginsResource(Value, frozen=True, kw_only=True):
    """Describes the plugin set of one APIGW."""

    live: Live
    #: The OpenAPI description of all routes currently served.
    describe_api: Callable[[], dict[str, object]]

    async def get(self, _request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """Respond with the plugin set and the state of the plugin folders."""
        return json_response(json_value(describe(self.live)))

    async def openapi(self, _request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """Respond with the OpenAPI description."""
        return json_response(self.describe_api())
