"""What handlers see of an upload is what is stored, who sends it, and no credential too many."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.curl import Answer
from tests.acceptance.harness import UPLOADED, UPLOADING, Installation
from tests.acceptance.process import until

#: Handlers run in the order of their names: this one sorts, the guard decides, then it is recorded.
SORTER = """\
name: a-1-sorter
event: APIGW.OnFileUploading
script: |-
  async def sorter(event, handle):
      folder = event["params"].get("folder", [""])[0]
      if folder:
          event["path"] = "/upload/" + folder + "/" + event["resources"]["filepath"]
      if event.get("X-Spelt"):
          event["path"] = "/upload/\\u212aEYS/x"
      if event.get("X-Forge"):
          event["account"] = {"name": "root", "roles": ["admin"]}
          event["length"] = 5
"""
GUARD = """\
name: a-2-guard
event: APIGW.OnFileUploading
script: |-
  async def guard(event, handle):
      seen = (event["path"], event["resources"]["filepath"], event["params"].get("folder", [""])[0])
      if any("KEYS" in text for text in seen):
          await handle.terminate(code=403, output="nobody writes there")
      if event.get("approved") or event.get("account", {}) == "root":
          await handle.terminate(code=418, output="a header passed for a key")
"""
#: Two ways past Tornado and through it, and a body of unknown length.
WAYS = ("whole", "long", "chunked")
SIZES = {"whole": 7, "long": 300_000, "chunked": 7}

Put = Callable[..., Answer]


@pytest.fixture(scope="module")
def installation(shared: Installation) -> Installation:
    """An installation whose handlers decide; what they see is written down."""
    shared.plugin("sorter.yml", SORTER)
    shared.plugin("guard.yml", GUARD)
    shared.record(UPLOADING)
    shared.record(UPLOADED)
    # The recorder's name sorts before the others: the guard is to refuse what it would see.
    place = shared.plugins / f"record-{UPLOADING}.yml"
    place.write_text(place.read_text().replace("name: a-rec", "name: b-rec"))
    shared.up("--upload_durability=none")
    return shared


@pytest.fixture(params=WAYS)
def put(installation: Installation, request: pytest.FixtureRequest) -> Put:
    """Uploads a file in one of the ways in."""
    way: str = request.param
    content = way[:1].encode() * SIZES[way]
    file = installation.file(way, content)

    def put(path: str, *more: str, token: str | None = None) -> Answer:
        if way == "chunked":
            return installation.curl(
                f"/upload/{path}", "-T", "-", *more, token=token, stdin=content
            )
        return installation.upload(file, f"/upload/{path}", *more, token=token)

    put.__name__ = way
    return put


def test_a_guarded_folder_is_guarded_however_its_name_is_written(
    installation: Installation, put: Put
) -> None:
    kelvin = "%E2%84%AAEYS"
    refused = [
        put("KEYS/x"),
        put(f"{kelvin}/x"),
        put(f"x?folder={kelvin}"),
        put("x", "-H", "X-Spelt: 1"),
    ]

    assert [answer.status for answer in refused] == [403] * 4
    assert not [name for name in installation.stored() if "EYS" in name]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("%E3%82%AB%E3%82%99%E3%83%BC%E3%83%88%E3%82%99", "ガード"),
        ("%E1%84%92%E1%85%A1%E1%86%AB", "한"),
        ("%E2%84%A6%E1%BD%B1", "\u03a9\u03ac"),
    ],
)
def test_path_resources_receipt_and_disk_have_the_same_name(
    installation: Installation, put: Put, written: str, name: str
) -> None:
    stored = f"{name}/{put.__name__}"
    answer = put(f"{written}/{put.__name__}")

    assert (answer.status, answer.json["path"]) == (201, f"/upload/{stored}")
    assert (installation.base / "upload" / stored).exists()
    for event in (UPLOADING, UPLOADED):
        seen = installation.recorded(event, f"/upload/{stored}")
        assert seen["resources"] == {"filepath": stored}
    again = put(f"{written}/{put.__name__}", "-H", "If-None-Match: *")
    assert again.status == 412


def test_both_events_say_who_sends_it_and_how_much(installation: Installation, put: Put) -> None:
    way = put.__name__
    length = None if way == "chunked" else SIZES[way]
    admin = {"name": "admin", "roles": ["admin"]}

    assert put(f"mine-{way}", token=installation.token).status == 201
    assert put(f"open-{way}", "-H", "Account: root", "-H", "Approved: yes").status == 201
    assert put(f"bad-{way}", token="nonsense").status == 201
    for event in (UPLOADING, UPLOADED):
        assert _sender(installation, event, f"mine-{way}") == (admin, length)
        assert _sender(installation, event, f"open-{way}") == (None, length)
        assert _sender(installation, event, f"bad-{way}") == (None, length)


def test_of_a_promised_event_the_gateway_says_who_sent_it(
    installation: Installation, put: Put
) -> None:
    way = put.__name__
    length = None if way == "chunked" else SIZES[way]

    assert put(f"forged-{way}", "-H", "X-Forge: 1").status == 201
    assert _sender(installation, UPLOADED, f"forged-{way}") == (None, length)


def test_a_promised_event_has_no_credential_and_neither_has_the_disk(
    installation: Installation, put: Put
) -> None:
    path, token, cookie = f"masked-{put.__name__}", installation.token, "sess=very-secret-cookie"

    assert put(path, "-H", f"Cookie: {cookie}", token=token).status == 201
    asked = installation.recorded(UPLOADING, f"/upload/{path}")["headers"]
    told = installation.recorded(UPLOADED, f"/upload/{path}")["headers"]
    assert (asked["X-Auth-Token"], asked["Cookie"]) == (token, cookie)
    assert (told["X-Auth-Token"], told["Cookie"]) == ("********", "********")
    kept = [place for place in installation.data.rglob("*.sqlite3*") if place.is_file()]
    assert kept
    assert not [place for place in kept if cookie.encode() in place.read_bytes()]


def test_a_handler_may_keep_a_header(installation: Installation) -> None:
    place = installation.plugins / f"record-{UPLOADED}.yml"
    before = place.read_text()
    file = installation.file("kept", b"x")
    headers = ("-H", "Cookie: a=1", "-H", "Authorization: Basic dTpw")
    seen: dict[str, Any] = {}

    def keeps() -> bool:
        installation.upload(file, "/upload/kept", *headers)
        seen.update(installation.recordings(UPLOADED, "/upload/kept", 1)[-1]["headers"])
        return bool(seen["Cookie"] == "a=1")

    place.write_text(before + "keep_headers: [cookie]\n")
    try:
        until(keeps, within=5, report=lambda: installation.log)
    finally:
        place.write_text(before)
    assert seen["Authorization"] == "********"


def _sender(installation: Installation, event: str, name: str) -> tuple[Any, Any]:
    seen = installation.recorded(event, f"/upload/{name}")
    return seen["account"], seen["length"]
