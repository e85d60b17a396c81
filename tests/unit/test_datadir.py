"""The data directory, its keys and its lock."""

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qmonus_lite.datadir import KEY_BYTES, DataDir
from qmonus_lite.errors import BadResource

# Takes the lock of the directory given and says so, then waits to be ended.
HOLDER = """
import sys
from pathlib import Path
from qmonus_lite.datadir import DataDir
lock = DataDir(Path(sys.argv[1])).lock()
print("locked", flush=True)
sys.stdin.read()
"""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_is_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)

    assert mode(DataDir(tmp_path / "open").path) == 0o700
    assert mode(DataDir(tmp_path / "new" / "below").path) == 0o700


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_refuses_a_place_that_is_no_directory(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BadResource, match="--data_dir="):
        DataDir(tmp_path / place)


def test_makes_a_key_once(tmp_path: Path) -> None:
    key = DataDir(tmp_path).key("token.key")

    assert len(key) == KEY_BYTES
    assert DataDir(tmp_path).key("token.key") == key
    assert mode(tmp_path / "token.key") == 0o400


def test_leaves_no_draft_behind(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.key("token.key")
    data_dir.write_private("admin.token", "t\n")

    assert {path.name for path in tmp_path.iterdir()} == {"token.key", "admin.token"}


def test_who_starts_at_once_gets_the_same_key(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: data_dir.key("a.key"), range(64)))

    assert len(keys) == 1


def test_different_keys_differ(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)

    assert data_dir.key("token.key") != data_dir.key("event.key")


@pytest.mark.parametrize(
    "text", ["", "\n", "!!!!", "c2hvcnQ=", base64.b64encode(b"x" * 31).decode()]
)
def test_refuses_a_key_file_that_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "token.key").write_text(text)

    with pytest.raises(BadResource, match=r"token\.key: not a usable key"):
        DataDir(tmp_path).key("token.key")


def test_refuses_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "token.key").symlink_to("nowhere")

    with pytest.raises(BadResource, match="not a usable key"):
        DataDir(tmp_path).key("token.key")


def test_refuses_a_directory_that_takes_no_key(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "state")
    data_dir.path.rmdir()

    with pytest.raises(BadResource, match="No such file"):
        data_dir.key("token.key")


def test_writes_what_only_the_owner_reads(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.write_private("admin.token", "old")
    place = data_dir.write_private("admin.token", "new\n")

    assert place.read_text() == "new\n"
    assert mode(place) == 0o600


def test_keeps_a_second_process_out_until_the_first_ends(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout and holder.stdout.readline() == b"locked\n"
        with pytest.raises(BadResource, match="another APIGW runs on it"):
            DataDir(tmp_path).lock()
        holder.kill()
    os.close(DataDir(tmp_path).lock())
