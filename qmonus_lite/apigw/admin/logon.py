"""`/-/logon`: a token for the owner of an API key."""

from collections.abc import Mapping
from dataclasses import dataclass

from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadRequest
from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response, json_response


@dataclass(frozen=True, kw_only=True)
class Logon:
    """Exchanges API keys for tokens."""

    gatekeeper: Gatekeeper
    clock: Clock

    async def post(self, request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """Exchange `X-API-Key` for a token; raises BadRequest, Unauthorized, TooManyRequests.

        Any query is refused: a key in the URL is in logs and histories already, even a valid one.
        """
        if request.query:
            raise BadRequest("give the API key as X-API-Key, and nothing in the query")
        given = self.gatekeeper.log_on(request.headers.get("X-API-Key"), request.client)
        expires = self.clock.at(given.expires_at).isoformat(timespec="seconds")
        value = {"token": given.token, "expires_at": expires, "username": given.username}
        return json_response(value, headers=(("Cache-Control", "no-store"),))
