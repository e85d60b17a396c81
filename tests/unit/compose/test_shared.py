"""Compose: what is refused before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.auth.sealing import Sealer
from qmonus_lite.compose.apigw import compose_apigw
from qmonus_lite.compose.plugin_loader import make_loader
from qmonus_lite.compose.shared import common
from qmonus_lite.errors import BadPlugins, BadResource
from qmonus_lite.settings.secret import Secret
from qmonus_lite.settings.table import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    return tmp_path


def settings(folder: Path, **flags: Any) -> Settings:
    return Settings.of(base_dir=folder, **flags)


def route(folder: Path, path: str) -> None:
    (folder / "plugins" / "r.yml").write_text(f"- authorities: []\n  proxy: {{path: '{path}'}}\n")


def faults(folder: Path, **flags: Any) -> list[str]:
    loader = make_loader(settings(folder, **flags), Sealer(key=b"k" * 32), callout=None)
    try:
        loader.load()
    except BadPlugins as error:
        return [fault.message for fault in error.faults]
    return []


@pytest.mark.parametrize("path", ["/-/x", "/-", "/{anything}", "/{a}/{b}"])
def test_no_route_takes_our_own_paths(folder: Path, path: str) -> None:
    route(folder, path)

    assert faults(folder) == [f"{path!r} could take paths under /-/, which are APIGW's own"]


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/upload/x", "/upload/{filepath}"),
        ("/upload/{a}/b", "/upload/{filepath}"),
        ("/v1/x/file", "/v1/{filename}/file"),
    ],
)
def test_no_route_takes_the_paths_of_uploads(folder: Path, path: str, template: str) -> None:
    route(folder, path)

    assert faults(folder, file_upload_api_path=template) == [
        f"{path!r} is taken by --file_upload_api_path={template}"
    ]


@pytest.mark.parametrize("path", ["/uploads/x", "/v1/{a}", "/-x", "/upload"])
def test_a_route_may_have_any_other_path(folder: Path, path: str) -> None:
    route(folder, path)

    assert faults(folder) == []


def test_scripts_are_compiled_with_the_options_of_the_process(folder: Path) -> None:
    (folder / "plugins" / "l.yml").write_text(
        "name: l\nevent: E\nscript: |-\n  PORT = options.port\n"
        "  async def run(event, handle):\n      return PORT\n"
    )

    assert faults(folder) == []


def test_a_named_plugin_folder_has_to_be_there(folder: Path) -> None:
    with pytest.raises(BadResource, match=f"more: no folder at {folder}/more; make it first"):
        common(settings(folder, plugins_base_dirs=("plugins", "more")), {})


def test_processes_that_share_a_secret_understand_each_other(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "plugins").mkdir(parents=True)
    secret = Secret("s" * 32)
    first = common(settings(folder, event_secret=secret), {})
    second = common(settings(tmp_path / "other", event_secret=secret), {})

    assert second.signer.verify(first.signer.sign("id", b"body"), b"body") == "id"
    issued = first.passes.issue("h:1", "PUT", "/x")
    assert second.passes.admits(next(iter(issued.values())), "h:1", "PUT", "/x")


def test_processes_of_one_data_directory_share_its_secret(folder: Path) -> None:
    first, second = common(settings(folder), {}), common(settings(folder), {})

    assert second.signer.verify(first.signer.sign("id", b"body"), b"body") == "id"


def test_nothing_is_stored_where_plugins_or_data_live(folder: Path) -> None:
    with pytest.raises(BadResource, match="where nothing may be stored"):
        compose_apigw(settings(folder, plugins_base_dirs=(".",)), {}, print)
    with pytest.raises(BadResource, match="where nothing may be stored"):
        compose_apigw(settings(folder, data_dir=folder), {}, print)


def test_a_start_with_a_faulty_plugin_is_refused_with_every_fault(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / "plugins" / f"{name}.yml").write_text("x: 1\n")

    with pytest.raises(BadPlugins) as caught:
        compose_apigw(settings(folder), {}, print)
    assert [Path(fault.file).name for fault in caught.value.faults] == ["a.yml", "b.yml"]
