"""The sample plugins and the examples, tried in the ways that their pages only tell of."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from qmonus_lite.auth.apikey import new_key
from qmonus_lite.scripting.builtins.names import granted
from qmonus_lite.scripting.builtins.raising import Error
from qmonus_lite.scripting.compiler import compile_handler
from qmonus_lite.scripting.origin import Origin
from tests.acceptance.harness import Installation
from tests.acceptance.process import TOP, until
from tests.acceptance.servers import Rclone, serve_webdav

UPLOADER = """\
- name: uploader
  authorities:
  - {regex: /upload, methods: [PUT]}
- name: reader
  authorities:
  - {regex: /, methods: [GET]}
"""


def add(installation: Installation, folder: str) -> None:
    """Copy the plugins of a folder in."""
    for plugin in (TOP / folder).glob("*.yml"):
        shutil.copyfile(plugin, installation.plugins / plugin.name)


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[Installation]:
    """An installation that serves the samples."""
    installation = Installation(tmp_path)
    add(installation, "plugins")
    yield installation
    installation.end()


def test_all_samples_and_examples_load_together(samples: Installation) -> None:
    for example in ("s3", "forward"):
        add(samples, f"docs/examples/{example}")

    checked = samples.run("check", f"--base_dir={samples.base}")

    assert checked.returncode == 0, checked.stdout


def test_the_gate_takes_what_the_default_authorization_takes(samples: Installation) -> None:
    samples.plugin("roles.yml", UPLOADER)
    keys = {name: samples.account(name, name) for name in ("uploader", "reader")}
    samples.data.mkdir(mode=0o700)
    (samples.data / "admin.token").touch()
    samples.up()
    tokens = {name: samples.log_on(key) for name, key in keys.items()}
    file = samples.file("a.bin", b"a")

    def status(*arguments: str) -> int:
        return samples.upload(file, "/upload/a.bin", *arguments).status

    assert status() == 401
    assert status("-H", "X-Auth-Token: nonsense") == 401
    assert status("-H", "X-Auth-Token;") == 401
    assert status("-H", "Authorization: Basic YTpi") == 401
    assert status("-H", "X-API-Key: theirs") == 401
    assert status("-u", f"uploader:{new_key()}") == 401
    assert status("-H", f"X-Auth-Token: {tokens['reader']}") == 403
    assert status("-u", f"reader:{keys['reader']}") == 403
    assert samples.stored() == []
    assert status("-H", f"Authorization: Bearer {tokens['uploader']}") == 201
    assert status("-H", f"X-Auth-Token: {samples.token}") == 200
    assert status("--anyauth", "-u", f"uploader:{keys['uploader']}") == 200
    assert status("-H", f"X-API-Key: {keys['uploader']}") == 200


def test_the_gate_stays_shut_when_it_cannot_ask(samples: Installation) -> None:
    (samples.plugins / "permission.yml").unlink()
    samples.up()

    refused = samples.upload(samples.file("a.bin", b"a"), "/upload/a.bin", token=samples.token)

    assert (refused.status, samples.stored()) == (503, [])


@pytest.mark.parametrize(
    "path", ["/upload/a.sha256", "/upload/a?folder=../plugins", "/upload/a?folder=a/b"]
)
def test_the_gate_refuses_names_and_folders_by_its_rules(path: str, samples: Installation) -> None:
    samples.up()

    refused = samples.upload(samples.file("a", b"a"), path, token=samples.token)

    assert (refused.status, samples.stored()) == (400, [])


def test_the_gate_sorts_into_the_folder_that_the_query_names(samples: Installation) -> None:
    samples.up()

    path = "/upload/2026/cat.jpg?folder=pets"
    stored = samples.upload(samples.file("cat.jpg", b"cat"), path, token=samples.token)

    assert stored.json["path"] == "/upload/pets/2026/cat.jpg"


def test_the_checksum_is_that_of_the_file(samples: Installation) -> None:
    samples.up()
    samples.upload(samples.file("a.bin", b"abc"), "/upload/a.bin", token=samples.token)

    sums = samples.base / "upload" / "a.bin.sha256"
    until(sums.exists, report=lambda: samples.log)
    until(lambda: sums.read_text().endswith("  a.bin\n"))
    assert sums.read_text().split()[0] == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("disk", ["", "moved"])
async def test_the_checksum_is_tried_again_where_the_worker_does_not_have_the_disk(
    disk: str, tmp_path: Path
) -> None:
    text = YAML(typ="safe").load(TOP / "plugins" / "checksum.yml")["script"]
    origin = Origin(file="checksum.yml", line=1, indent=0, label="checksum.script")
    script = compile_handler(text, origin, granted(callout=None, options=None))
    event = {"path": "/upload/a", "filepath": str(tmp_path / disk / "upload/a")}

    if disk:
        with pytest.raises(Error, match="503"):
            await script.function(event, None)
    else:
        # The file was moved on: there is nothing to sum up.
        await script.function(event, None)


def test_a_name_that_leaves_no_room_for_a_checksum_beside_it_is_not_tried_again(
    samples: Installation,
) -> None:
    samples.up()
    (samples.base / "upload" / "a.sha256").mkdir(parents=True)
    file = samples.file("file", b"abc")
    for name in ("a", "x" * 255):
        assert samples.upload(file, f"/upload/{name}", token=samples.token).status == 201

    until(lambda: samples.log.count("has no checksum file") == 2, report=lambda: samples.log)
    until(lambda: samples.log.count("delivered APIGW.OnFileUploaded") == 2)


@pytest.mark.parametrize(
    ("path", "greeting"),
    [("/hello/Ann", "Hello, Ann"), ("/hello/%E8%8A%B1?lang=ja", "こんにちは, 花")],
)
def test_hello_greets(path: str, greeting: str, samples: Installation) -> None:
    samples.up()

    assert samples.curl(path, token=samples.token).json == {"greeting": greeting}


def test_hello_names_what_does_not_fit(samples: Installation) -> None:
    samples.up()

    refused = samples.curl("/hello/Ann?lang=de", token=samples.token)

    assert (refused.status, "/lang" in refused.json["detail"]) == (400, True)


@pytest.mark.parametrize(
    "path", ["/upload/../.qmonus-lite/token.key", "/upload/../plugins/gate.yml"]
)
def test_the_route_to_s3_sends_nothing_but_uploads(path: str, samples: Installation) -> None:
    add(samples, "docs/examples/s3")
    samples.up()

    body = f'{{"path": "{path}"}}'
    kind = "Content-Type: application/json"
    refused = samples.curl("/v1/to-s3", "-H", kind, "-d", body, token=samples.token)

    assert refused.status == 403


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Rclone]:
    """A server that takes PUT."""
    server = serve_webdav(tmp_path / "elsewhere")
    yield server
    server.end()


def test_a_server_that_refuses_makes_a_dead_letter(
    samples: Installation, elsewhere: Rclone
) -> None:
    add(samples, "docs/examples/forward")
    target = f"name: forward-target\nvalues:\n  url: http://{elsewhere.place}/no/such/folder\n"
    samples.plugin("forward-target.yml", target)
    samples.up()

    samples.upload(samples.file("a.bin", b"a"), "/upload/a.bin", token=samples.token)

    until(lambda: "action=event_dead" in samples.log, report=lambda: samples.log)
