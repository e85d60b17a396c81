"""Opening a Config plugin, at use."""

import pytest

from qmonus_lite.catalog.document import Env, Sealed
from qmonus_lite.catalog.secret_values import SecretResolver, masked
from qmonus_lite.redaction import MASK
from qmonus_lite.scripting.builtins.raising import Error
from tests.unit.catalog.plugin_folder import SEALER, Folder


@pytest.fixture
def sealed(folder: Folder) -> Folder:
    text = SEALER.seal("s3cret", location="a.yml|aws.keys.1")
    folder.put(
        "a.yml",
        f"name: c\nvalues:\n  n: 5\n  aws:\n    id: !env ID\n    keys: [x, !sealed {text}]\n",
    )
    return folder


def test_opens_what_is_sealed_and_what_the_environment_has(sealed: Folder) -> None:
    values = SecretResolver(sealer=SEALER, environ={"ID": "AK"}).values(sealed.load(), "c")

    assert values == {"n": 5, "aws": {"id": "AK", "keys": ["x", "s3cret"]}}


def test_reads_the_environment_at_use(sealed: Folder) -> None:
    environ = {"ID": "old"}
    secrets, catalog = SecretResolver(sealer=SEALER, environ=environ), sealed.load()
    environ["ID"] = "new"

    assert secrets.values(catalog, "c")["aws"]["id"] == "new"


def test_every_use_has_values_of_its_own(sealed: Folder) -> None:
    secrets, catalog = SecretResolver(sealer=SEALER, environ={"ID": "AK"}), sealed.load()
    secrets.values(catalog, "c")["aws"]["keys"].append("mine")

    assert secrets.values(catalog, "c")["aws"]["keys"] == ["x", "s3cret"]


def test_says_which_variable_is_missing_and_no_value(sealed: Folder) -> None:
    with pytest.raises(Error, match="Config 'c' needs the variable ID") as caught:
        SecretResolver(sealer=SEALER, environ={}).values(sealed.load(), "c")

    assert caught.value.code == 500


def test_does_not_know_other_names(folder: Folder) -> None:
    with pytest.raises(KeyError):
        SecretResolver(sealer=SEALER, environ={}).values(folder.load(), "missing")


def test_masks_what_is_secret() -> None:
    values = {"a": [Sealed("v1.x"), {"b": Env("HOME")}], "c": 5, "d": None}

    assert masked(values) == {"a": [MASK, {"b": "!env HOME"}], "c": 5, "d": None}
