"""Data classes of accounts, roles and authorities (permissions)."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Protocol

from qmonus_lite.values import Value


class PathPattern(Protocol):
    """A compiled regular expression."""

    def match(self, string: str, /) -> object:
        """Truthy if the expression matches at the start of the text."""
        ...


class Authority(Value, frozen=True, kw_only=True):
    """Permission for a set of methods on matching paths."""

    #: Matched from the start of the request path.
    regex: PathPattern
    #: Upper-case HTTP methods.
    methods: frozenset[str]

    def allows(self, method: str, path: str) -> bool:
        """Whether this authority covers the request."""
        return method in self.methods and bool(self.regex.match(path))


class Role(Value, frozen=True, kw_only=True):
    """A named set of authorities."""

    name: str
    authorities: tuple[Authority, ...]
    #: Whether `X-Xaas-Static-Routing` may replace a backend.
    static_routing: bool = False

    def allows(self, method: str, path: str) -> bool:
        """Whether one of the authorities covers the request."""
        return any(authority.allows(method, path) for authority in self.authorities)


class Account(Value, frozen=True, kw_only=True):
    """A user account."""

    username: str
    #: Names of roles.
    roles: tuple[str, ...]
    #: SHA-256 of the API key in hexadecimal; None if the account cannot log on.
    api_key_sha256: str | None = None
    #: SHA-256 of the previous key, which stays valid until it is retired.
    previous_key_sha256: str | None = None
    #: Time from which the account is invalid; None means never.
    expires_at: datetime | None = None


class Directory(Value, frozen=True, kw_only=True, dict=True):
    """The accounts and roles of one plugin set."""

    accounts: Mapping[str, Account]
    roles: Mapping[str, Role]

    @cached_property
    def key_owners(self) -> Mapping[str, Account]:
        """Accounts by SHA-256 of each of their API keys, in hexadecimal."""
        return {
            stored: account
            for account in self.accounts.values()
            for stored in (account.api_key_sha256, account.previous_key_sha256)
            if stored
        }


#: The account that the first start creates for local use, and its role.
LOCAL_ADMIN = Account(username="admin", roles=("admin",))
EVERYTHING = Role(
    name="admin",
    authorities=(
        Authority(
            regex=re.compile("/"),
            methods=frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"}),
        ),
    ),
    static_routing=True,
)


def with_local_admin(directory: Directory) -> Directory:
    """The directory with the local `admin` added; a plugin account of that name has precedence."""
    return Directory(
        accounts={LOCAL_ADMIN.username: LOCAL_ADMIN, **directory.accounts},
        roles={EVERYTHING.name: EVERYTHING, **directory.roles},
    )
