"""Accounts, roles and authorities."""

import re

import pytest

from qmonus_lite.auth.account import (
    EVERYTHING,
    LOCAL_ADMIN,
    Account,
    Authority,
    Directory,
    Role,
    with_local_admin,
)

IMAGES = Authority(regex=re.compile("/v1/images"), methods=frozenset({"GET", "PUT"}))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/images", True),
        ("PUT", "/v1/images/a/b", True),
        ("DELETE", "/v1/images", False),
        ("get", "/v1/images", False),
        ("GET", "/v1", False),
        ("GET", "/x/v1/images", False),
    ],
)
def test_an_authority_is_matched_from_the_start_of_the_path(
    method: str, path: str, allowed: bool
) -> None:
    assert IMAGES.allows(method, path) is allowed


def test_a_role_allows_what_one_of_its_authorities_allows() -> None:
    logs = Authority(regex=re.compile("/logs/.+"), methods=frozenset({"DELETE"}))
    role = Role(name="r", authorities=(IMAGES, logs))

    assert role.allows("DELETE", "/logs/x")
    assert not role.allows("DELETE", "/v1/images")
    assert not Role(name="r", authorities=()).allows("GET", "/")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"])
def test_the_local_admin_may_everything(method: str) -> None:
    directory = with_local_admin(Directory(accounts={}, roles={}))

    assert directory.accounts["admin"] is LOCAL_ADMIN
    assert directory.roles["admin"].allows(method, "/-/metrics")


def test_an_account_and_a_role_of_a_plugin_win_over_the_local_ones() -> None:
    account, role = Account(username="admin", roles=("r",)), Role(name="admin", authorities=())
    directory = with_local_admin(Directory(accounts={"admin": account}, roles={"admin": role}))

    assert directory.accounts["admin"] is account
    assert directory.roles["admin"] is role


def test_the_local_admin_has_no_key_to_log_on_with() -> None:
    assert LOCAL_ADMIN.api_key_sha256 is None
    assert EVERYTHING.static_routing
