"""Full, read-only and foreign file systems under a real APIGW: small tmpfs mounts."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs takes root")

#: No room has to be left: the disk itself is to say that it is full.
NO_RESERVE = "--min_free_bytes=0"


def _mount(*words: str | Path) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine mounts no tmpfs: {done.stderr.strip()}")


@contextmanager
def tmpfs(place: Path, size: str) -> Iterator[Path]:
    """A small file system of its own at a place."""
    place.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def small(installation: Installation) -> Iterator[Path]:
    """The folder of uploads is a file system of 8 MiB, the data directory is not."""
    with tmpfs(installation.base / "upload", "8m") as place:
        yield place


def files(place: Path) -> list[str]:
    return sorted(path.name for path in place.rglob("*") if path.is_file())


def test_a_file_for_another_mount_is_staged_there_and_appears_whole(
    installation: Installation, small: Path
) -> None:
    installation.up(NO_RESERVE)
    content = os.urandom(3 << 20)

    answer = installation.upload(
        installation.file("a.bin", content), "/upload/sub/a.bin", token=installation.token
    )

    assert answer.status == 201
    assert (small / "sub/a.bin").read_bytes() == content
    assert files(small) == ["a.bin"]


def test_an_upload_larger_than_the_disk_is_refused_before_its_body(
    installation: Installation, small: Path
) -> None:
    installation.up(NO_RESERVE)
    file = installation.file("a.bin", bytes(20 << 20))

    answer = installation.upload(file, "/upload/a.bin", token=installation.token)

    assert (answer.status, answer.sent) == (507, 0)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert files(small) == []


def test_room_that_runs_out_in_mid_body_is_507_and_the_next_upload_works(
    installation: Installation, small: Path
) -> None:
    installation.up(NO_RESERVE)
    token, file = installation.token, installation.file("a.bin", bytes(20 << 20))

    chunked = installation.curl(
        "/upload/a.bin", "-T", "-", "-H", "Expect:", token=token, stdin=file.read_bytes()
    )

    assert chunked.status == 507
    assert files(small) == []
    again = installation.upload(installation.file("b.bin", b"fits"), "/upload/b.bin", token=token)
    assert again.status == 201


def test_a_disk_that_others_filled_is_507_until_there_is_room_again(
    installation: Installation, small: Path
) -> None:
    installation.up(NO_RESERVE)
    token, file = installation.token, installation.file("a.bin", bytes(1 << 20))
    filler = small / "filler"
    filler.write_bytes(bytes((8 << 20) - (64 << 10)))

    full = installation.upload(file, "/upload/a.bin", token=token)
    filler.unlink()
    freed = installation.upload(file, "/upload/a.bin", token=token)

    assert (full.status, freed.status) == (507, 201)
    assert files(small) == ["a.bin"]


def test_a_disk_below_the_reserve_turns_readiness_red_until_there_is_room(
    installation: Installation, small: Path
) -> None:
    installation.up("--min_free_bytes=4MiB")
    file, filler = installation.file("a.bin", b"content"), small / "filler"
    filler.write_bytes(bytes(6 << 20))

    until(lambda: not installation.ready)
    assert installation.live
    answer = installation.curl("/-/ready")
    assert "--min_free_bytes=4194304" in answer.json["detail"]
    assert installation.upload(file, "/upload/a.bin", token=installation.token).status == 507
    assert "promised=0" in installation.log and "min_free_bytes=4194304" in installation.log

    filler.unlink()
    until(lambda: installation.ready)
    assert installation.upload(file, "/upload/a.bin", token=installation.token).status == 201


def test_a_start_below_the_reserve_says_so_and_not_that_it_is_ready(
    installation: Installation,
) -> None:
    running = installation.start("up", "--min_free_bytes=900TiB")
    until(lambda: "not ready: the disk has" in running.stdout, report=lambda: installation.log)

    assert "--min_free_bytes=" in running.stdout and "try:" not in running.stdout
    assert installation.live and not installation.ready


def test_a_read_only_disk_is_500_and_turns_readiness_red(
    installation: Installation, small: Path
) -> None:
    installation.up(NO_RESERVE)
    token, file = installation.token, installation.file("a.bin", b"content")
    assert installation.upload(file, "/upload/a.bin", token=token).status == 201
    _mount("-o", "remount,ro", small)

    refused = [installation.upload(file, f"/upload/{n}", token=token).status for n in range(3)]

    assert refused == [500, 500, 500]
    assert not installation.ready and installation.live
    record = next(line for line in installation.log.splitlines() if "disk_failed" in line)
    assert "path=/upload/0" in record and "errno=EROFS" in record and "request_id=" in record
    assert (small / "a.bin").read_bytes() == b"content"


def test_a_full_disk_under_the_outbox_refuses_uploads_and_loses_nothing(
    installation: Installation,
) -> None:
    data = installation.folder / "data"
    with tmpfs(data, "2m"):
        installation.data = data
        running = installation.up(NO_RESERVE, f"--data_dir={data}")
        token = installation.token
        file = installation.file("a.bin", b"content")
        filler = data / "filler"
        with filler.open("wb", buffering=0) as out, pytest.raises(OSError, match="No space"):
            while True:
                out.write(bytes(4096))

        # SQLite has some pages left in its log; by then it has none.
        statuses = []
        for number in range(2000):
            statuses.append(installation.upload(file, f"/upload/{number}", token=token).status)
            if statuses[-1] not in {200, 201}:
                break
        assert statuses[-1] in {503, 507}
        if statuses[-1] == 503:
            assert not installation.ready and installation.live
        assert not (installation.base / f"upload/{len(statuses) - 1}").exists()
        assert files(installation.base / ".qmonus-lite-staging") == []

        filler.unlink()
        # By itself, before anybody tries an upload.
        until(lambda: installation.ready, report=lambda: installation.log)
        assert installation.upload(file, "/upload/after", token=token).status == 201
        running.stop()
