"""The gatekeeper: authenticates a request by its credentials and authorizes it by roles.

The default is to deny: 401 if authentication fails, 403 if no role allows the request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qmonus_lite.auth import apikey, callout_pass
from qmonus_lite.auth.account import Account, Directory, Role
from qmonus_lite.auth.caller_ids import CallerIds
from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.auth.credentials import ApiKey, read_credential
from qmonus_lite.auth.gate_depth import GateDepths
from qmonus_lite.auth.login_throttle import LoginThrottle
from qmonus_lite.auth.own import OwnCredentials
from qmonus_lite.auth.tokens import MAX_VERIFIED, BadToken, Minter, TokenNotInTime, valid_times
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadRequest, Forbidden, TooManyRequests, Unauthorized
from qmonus_lite.pathtemplate import decode_as_written, normalized
from qmonus_lite.values import Value

#: Audience of the tokens that logon issues.
AUDIENCE = "qmonus-lite"
_NEW_TOKEN = "POST /-/logon makes one"
_UNAUTHENTICATED = (
    "give a valid token as X-Auth-Token or Authorization: Bearer, or an API key as X-API-Key or,"
    " with the name of its account, as Basic"
)
_GIVE_KEY = "give a valid API key as X-API-Key, or with the name of its account as Basic"
_WRONG_KEY = "the API key is not valid, or not one of the account that is named with it"


class Actor(Value, frozen=True, kw_only=True):
    """The authenticated sender of a request."""

    name: str
    roles: tuple[Role, ...]
    #: True for a `callout` of a script of this installation.
    by_pass: bool = False

    @property
    def account(self) -> dict[str, Any] | None:
        """The `account` value in events and requests; None for a callout, which has no account."""
        if self.by_pass:
            return None
        return {"name": self.name, "roles": [role.name for role in self.roles]}

    @property
    def may_route_statically(self) -> bool:
        """Whether a role allows `X-Xaas-Static-Routing`; always true for a callout."""
        return self.by_pass or any(role.static_routing for role in self.roles)

    def may(self, method: str, path: str) -> bool:
        """Whether a role allows `method` on a decoded path; a callout may use all but `/-/`."""
        if self.by_pass:
            return not path.startswith("/-/")
        return any(role.allows(method, path) for role in self.roles)


class Token(Value, frozen=True, kw_only=True):
    """Result of a logon."""

    token: str
    #: Seconds since the epoch.
    expires_at: float
    username: str


@dataclass(frozen=True, kw_only=True)
class Gatekeeper:
    """Authenticates and authorizes requests to one APIGW."""

    #: Returns the accounts and roles of the active plugin set.
    directory: Callable[[], Directory]
    minter: Minter
    passes: Passes
    #: `host:port` of this APIGW, as named in passes.
    host_port: str
    clock: Clock
    #: Lifetime of a token in seconds.
    token_ttl: float
    throttle: LoginThrottle = field(default_factory=LoginThrottle)
    #: Cache of verified tokens: the directory they were verified with, from when and until when
    #: they are valid, and the actor.
    _verified: dict[str, tuple[Directory, float, float, Actor]] = field(
        default_factory=dict, repr=False
    )

    def log_on(self, key: str | None, client: str = "", *, username: str | None = None) -> Token:
        """A token for the owner of an API key; raises Unauthorized, and TooManyRequests.

        `client` is the address for which a wrong key is counted, and `username` the name of the
        account if the client gives it.
        """
        if not key:
            raise Unauthorized(_GIVE_KEY)
        account = self._owner(ApiKey(key=key, username=username))
        if account is None:
            raise self._wrong_key(_GIVE_KEY, client)
        return self.token_for(account.username)

    def token_for(self, username: str) -> Token:
        """A token for an account, without checking its key."""
        expires = self.clock.now() + self.token_ttl
        token = self.minter.mint(username, audience=AUDIENCE, ttl=self.token_ttl)
        return Token(token=token, expires_at=expires, username=username)

    def identify(
        self, headers: Mapping[str, str], method: str, path: str, *, client: str = ""
    ) -> Actor:
        """The sender of this request; raises Unauthorized, TooManyRequests, AmbiguousCredentials.

        `client` is the address for which a wrong API key is counted.
        """
        if (value := headers.get(callout_pass.HEADER)) is not None:
            if not self.passes.admits(value, self.host_port, method, path):
                raise Unauthorized(self.passes.refusal(value, self.host_port))
            return Actor(name=callout_pass.SUBJECT, roles=(), by_pass=True)
        credential = read_credential(headers)
        if not isinstance(credential, ApiKey):
            return self._bearer(credential)
        account = self._owner(credential)
        if account is None:
            raise self._wrong_key(_WRONG_KEY, client)
        return self._actor(account)

    def gate_depth(self, headers: Mapping[str, str]) -> int:
        """Number of gates that wait for a request, by a value that `callout` has signed."""
        return GateDepths(passes=self.passes).read(headers)

    def ids_of_caller(self, value: str) -> tuple[str, str] | None:
        """Request id and `traceparent` of the calling script, if `callout` has signed the value."""
        return CallerIds(passes=self.passes).read(value)

    def known(self, headers: Mapping[str, str]) -> Actor | None:
        """The account whose valid token or API key a request has; None for anything else.

        For callers that decide on access themselves: raises nothing, and counts no failures.
        """
        if callout_pass.HEADER in headers:
            return None
        try:
            credential = read_credential(headers)
            if isinstance(credential, ApiKey):
                account = self._owner(credential)
                return None if account is None else self._actor(account)
            return None if credential is None else self._bearer(credential)
        except (Unauthorized, BadRequest):
            return None

    def authorize(
        self,
        headers: Mapping[str, str],
        method: str,
        raw_path: str,
        *,
        client: str = "",
        goes_on: bool = False,
    ) -> Actor:
        """The sender of this request, if allowed.

        Raises Unauthorized, TooManyRequests, Forbidden or BadRequest.

        A pass is bound to the path as in the request line; roles are matched with the path decoded
        once and in NFC. With `goes_on` the path is forwarded unchanged to a backend that may or may
        not normalize it, so roles must allow both forms. A callout may use every route and upload,
        but nothing under `/-/`, which is for operators.
        """
        actor = self.identify(headers, method, raw_path, client=client)
        self.check_allowed(actor, method, raw_path, goes_on=goes_on)
        return actor

    def check_allowed(
        self, actor: Actor, method: str, raw_path: str, *, goes_on: bool = False
    ) -> None:
        """Authorize an identified sender, as `authorize`; raises Forbidden or BadRequest."""
        written = raw_path
        if "%" in raw_path:
            written = "/".join(map(decode_as_written, raw_path.split("/")))
        path = normalized(written)
        allowed = actor.may(method, path)
        if goes_on and written != path:
            allowed = allowed and actor.may(method, written)
        if not allowed:
            raise Forbidden(f"no role of account {actor.name!r} allows {method} on this path")

    @cached_property
    def own(self) -> OwnCredentials:
        """Recognizes credentials issued by this installation."""
        return OwnCredentials(minters=(self.minter, self.passes.minter))

    def _bearer(self, token: str | None) -> Actor:
        if token is None:
            raise Unauthorized(_UNAUTHENTICATED)
        directory = self.directory()
        verified = self._verified.get(token)
        # A client sends the same token with every upload, so verification is cached; the active
        # directory and the times are checked each time.
        if verified is not None and verified[0] is directory:
            _, begins, until, actor = verified
            if begins <= self.clock.now() < until:
                return actor
        try:
            claims = self.minter.read(token, audience=AUDIENCE)
        except TokenNotInTime as error:
            raise Unauthorized(f"the token is not valid now: {error}; {_NEW_TOKEN}") from None
        except BadToken:
            raise Unauthorized(_UNAUTHENTICATED) from None
        account = directory.accounts.get(claims["sub"])
        if account is None or self._is_expired(account):
            raise Unauthorized(_UNAUTHENTICATED)
        actor = self._actor(account)
        begins, until = valid_times(claims)
        if account.expires_at is not None:
            until = min(until, account.expires_at.timestamp())
        if len(self._verified) >= MAX_VERIFIED:
            self._verified.clear()
        self._verified[token] = directory, begins, until, actor
        return actor

    def _owner(self, given: ApiKey) -> Account | None:
        """The account with this key, unless it has expired or another name was given."""
        account = apikey.owner(given.key, self.directory())
        if account is None or self._is_expired(account):
            return None
        return account if given.username in {None, account.username} else None

    def _wrong_key(self, detail: str, client: str) -> Unauthorized | TooManyRequests:
        """The refusal of a wrong API key, which is counted for this address."""
        if wait := self.throttle.failed(client):
            return TooManyRequests("too many wrong API keys", retry_after=wait)
        return Unauthorized(detail)

    def _actor(self, account: Account) -> Actor:
        roles = map(self.directory().roles.get, account.roles)
        return Actor(name=account.username, roles=tuple(role for role in roles if role))

    def _is_expired(self, account: Account) -> bool:
        expires = account.expires_at
        return expires is not None and expires.timestamp() <= self.clock.now()
