"""Declarations of settings, and what the table refuses of them."""

from dataclasses import dataclass

import pytest

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag, secret, settings_of
from qmonus_lite.settings.secret import Secret


def test_makes_a_row_of_each_field() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Group:
        size: int = flag(3, "its size", example="--size=4", reader=values.size)
        store_key: Secret | None = secret("its key", other_source="the file store.key")

    size, key = settings_of("group", Group)

    assert (size.name, size.group, size.default, size.variable) == (
        "size",
        "group",
        3,
        "QMONUS_LITE_SIZE",
    )
    assert (size.is_secret, key.is_secret, key.default) == (False, True, None)
    assert key.other_source == "the file store.key"


def test_no_secret_can_be_declared_as_a_flag() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Group:
        store_key: Secret | None = flag(None, "key", example="--store_key=x", reader=Secret.parse)

    with pytest.raises(TypeError, match="holds a Secret; declare it with secret"):
        settings_of("group", Group)


def test_refuses_a_field_that_is_no_setting() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Group:
        size: int = 3

    with pytest.raises(TypeError, match=r"group\.size: declare it"):
        settings_of("group", Group)


def test_never_prints_a_secret() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Group:
        store_key: Secret | None = secret("its key", other_source="the file store.key")

    value = Secret("s3cr3t" * 6)

    assert "s3cr3t" not in f"{value} {value!r} {Group(store_key=value)!r}"
