"""The ground: nothing leads out of it, whatever stands on it."""

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from qmonus_lite.errors import BadResource, Conflict, Forbidden, Problem
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.root_dir import RootDir


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def root_dir(root: Path, *protected: Path) -> RootDir:
    return RootDir(root=root, protected=protected, disk=Filesystem())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_looks_and_makes_nothing(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a" / "file").touch()

    seen = root_dir(root)
    # The second round is from memory.
    for _ in range(2):
        assert looked(seen, "a", "file") == (root / "a", True)
        assert looked(seen, "a", "other") == (root / "a", False)
        assert looked(seen, "a", "b", "c") == (root / "a", False)
        assert looked(seen, "file") == (root, False)
    assert os.listdir(root) == ["a"] and os.listdir(root / "a") == ["file"]


def test_makes_missing_directories(root: Path) -> None:
    with contextlib.closing(root_dir(root).parent(("a", "b", "file"))) as walk:
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=walk.here))

    assert (root / "a" / "b" / "file").is_file()
    with contextlib.closing(root_dir(root).parent(("a", "b", "file"))) as walk:
        assert walk.has_file("file")


def link(place: Path, to: str) -> None:
    place.symlink_to(to)


def listening(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(place.parent)
        server.bind(place.name)
        os.chdir(here)


def looked(root_dir: RootDir, *parts: str) -> tuple[Path, bool]:
    look = root_dir.look(parts)
    assert look.mount.device == look.directory.stat().st_dev
    return look.directory, look.there


def test_what_stands_at_a_path_is_seen_anew_each_time(root: Path) -> None:
    (root / "a").mkdir()
    seen = root_dir(root)
    assert looked(seen, "a", "f") == (root / "a", False)
    (root / "a" / "f").touch()
    assert looked(seen, "a", "f") == (root / "a", True)
    (root / "a" / "f").unlink()
    (root / "a" / "f").mkdir()
    with pytest.raises(Conflict):
        seen.look(("a", "f"))
    (root / "a" / "f").rmdir()
    (root / "a" / "f").symlink_to("/")
    with pytest.raises(Forbidden):
        seen.look(("a", "f"))


def test_a_directory_that_was_seen_may_go_away(root: Path) -> None:
    (root / "a").mkdir()
    seen = root_dir(root)
    assert looked(seen, "a", "f") == (root / "a", False)
    (root / "a").rmdir()

    assert not seen.look(("a", "f")).there
    (root / "a").touch()
    with pytest.raises(Conflict):
        seen.look(("a", "f"))


Making = Callable[[Path], object]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda place: link(place, "/etc"), Forbidden),
        (lambda place: link(place, ".."), Forbidden),
        (lambda place: link(place, "."), Forbidden),
        (lambda place: link(place, "nowhere"), Forbidden),
        (lambda place: link(place, place.name), Forbidden),
        (lambda place: place.touch(), Conflict),
        (lambda place: os.mkfifo(place), Conflict),
        (listening, Conflict),
    ],
    ids=["link out", "link up", "link to itself", "dead link", "loop", "file", "fifo", "socket"],
)
def test_walks_through_directories_only(root: Path, make: Making, problem: type[Problem]) -> None:
    make(root / "a")
    before = descriptors()
    with pytest.raises(problem):
        root_dir(root).look(("a", "b", "file"))
    with pytest.raises(problem):
        root_dir(root).parent(("a", "b", "file"))

    assert descriptors() == before
    assert os.listdir(root) == ["a"]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda place: link(place, "/etc/passwd"), Forbidden),
        (lambda place: link(place, "nowhere"), Forbidden),
        (lambda place: place.mkdir(), Conflict),
        (lambda place: os.mkfifo(place), Conflict),
        (listening, Conflict),
    ],
    ids=["link", "dead link", "directory", "fifo", "socket"],
)
def test_only_a_file_may_be_replaced(root: Path, make: Making, problem: type[Problem]) -> None:
    make(root / "a")

    with pytest.raises(problem):
        root_dir(root).look(("a",))


@pytest.mark.parametrize("parts", [("data",), ("data", "x"), ("data", "x", "y"), ("a",)])
def test_nothing_is_stored_in_or_over_a_protected_folder(
    root: Path, parts: tuple[str, ...]
) -> None:
    with pytest.raises(Forbidden, match="nothing may be stored"):
        root_dir(root, root / "data", root / "a" / "plugins").path_of(parts)


@pytest.mark.parametrize("parts", [("database",), ("a", "b"), ("upload", "data")])
def test_a_folder_beside_a_protected_one_is_free(root: Path, parts: tuple[str, ...]) -> None:
    protected = (root / "data", root / "a" / "plugins", Path("/elsewhere"))

    assert root_dir(root, *protected).path_of(parts) == str(root.joinpath(*parts))


def test_refuses_a_launch_directory_that_cannot_be_one(root: Path) -> None:
    (root / "file").touch()
    for place in (root / "missing", root / "file"):
        with pytest.raises(BadResource, match="no such directory"):
            root_dir(place).check()
    with pytest.raises(BadResource, match="where nothing may be stored"):
        root_dir(root / ".", root).check()
    with pytest.raises(BadResource, match="where nothing may be stored"):
        root_dir(root, root.parent).check()
    root_dir(root, root / "data").check()


def test_a_directory_swapped_for_a_link_leads_nowhere(root: Path) -> None:
    """Another program swaps the directory while uploads walk through it."""
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "real").mkdir()
    (root / "a").mkdir()
    stop = threading.Event()

    def swap() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            # The walk itself may make the directory anew at any of these moments.
            with contextlib.suppress(OSError):
                (root / "a").rename(root / f"aside{n}")
                (root / "a").symlink_to(outside)
                (root / "a").unlink()

    swapping = threading.Thread(target=swap)
    swapping.start()
    ended = set()
    try:
        # The swapper may be there nearly all the time: go on until one got through.
        for n in itertools.takewhile(
            lambda n: n < 400 or ("stored" not in ended and n < 100_000), itertools.count()
        ):
            try:
                with contextlib.closing(root_dir(root).parent(("a", "file"))) as walk:
                    os.close(os.open(f"f{n}", os.O_CREAT | os.O_WRONLY, dir_fd=walk.here))
                    ended.add("stored")
            except (Forbidden, Conflict, FileExistsError, FileNotFoundError) as error:
                ended.add(type(error).__name__)
    finally:
        stop.set()
        swapping.join()

    assert os.listdir(outside) == []
    assert "stored" in ended


def test_many_make_the_same_directories_at_once(root: Path) -> None:
    errors: list[BaseException] = []

    def make() -> None:
        try:
            for n in range(30):
                with contextlib.closing(root_dir(root).parent((f"a{n}", "b", "file"))):
                    pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(os.listdir(root)) == 30
