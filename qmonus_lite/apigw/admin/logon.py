"""`/-/logon`: a token for the owner of an API key."""

from collections.abc import Mapping

from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.apigw.resources import Logon
from qmonus_lite.auth.credentials import read_logon, without_cross_site_basic
from qmonus_lite.auth.gatekeeper import Gatekeeper, Token
from qmonus_lite.clock import Clock
from qmonus_lite.errors import CredentialInQuery
from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response, json_response
from qmonus_lite.values import Value


class LogonResource(Value, frozen=True, kw_only=True):
    """Exchanges API keys for tokens."""

    gatekeeper: Gatekeeper
    clock: Clock

    async def post(self, request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """Exchange an API key, given as `X-API-Key` or `Basic`, for a token.

        Any query is refused: a key in the URL is in logs and histories already, even a valid one.
        Raises CredentialInQuery, Unauthorized, TooManyRequests.
        """
        if request.query:
            raise CredentialInQuery("give the API key as X-API-Key, and nothing in the query")
        given = self._log_on(request)
        expires = self.clock.at(given.expires_at).isoformat(timespec="seconds")
        logon = Logon(token=given.token, expires_at=expires, username=given.username)
        return json_response(json_value(logon), headers=(("Cache-Control", "no-store"),))

    def _log_on(self, request: Request) -> Token:
        given = read_logon(without_cross_site_basic(request.headers))
        if given is None:
            return self.gatekeeper.log_on(None, request.client)
        return self.gatekeeper.log_on(given.key, request.client, username=given.username)
