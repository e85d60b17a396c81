"""The files of all processes: nothing is lost by a kill, and nothing is counted twice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qmonus_lite.metrics import slots
from qmonus_lite.metrics.definitions import PLUGIN_FAULTS, UPLOAD_BYTES
from qmonus_lite.metrics.directory import MetricsDirectory
from qmonus_lite.metrics.families import Counter

#: A process that counts, and then waits to be killed.
COUNTING = """
import sys
from pathlib import Path
from qmonus_lite.metrics.definitions import PLUGIN_FAULTS, UPLOAD_BYTES
from qmonus_lite.metrics.directory import MetricsDirectory
from qmonus_lite.metrics.families import Counter
slots = MetricsDirectory(Path(sys.argv[1])).begin(sys.argv[2])
Counter(UPLOAD_BYTES, slots).add((), 3.0)
Counter(PLUGIN_FAULTS, slots).set((), 1.0)
print("counted", flush=True)
sys.stdin.read()
"""


class Counting:
    """A process that has counted 3."""

    def __init__(self, path: Path, name: str) -> None:
        pipe = subprocess.PIPE
        argv = [sys.executable, "-c", COUNTING, str(path), name]
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"counted\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def total(directory: MetricsDirectory) -> float:
    return directory.snapshot().counted.get(UPLOAD_BYTES.name, [0.0])[0]


def test_a_killed_process_keeps_what_it_counted_and_loses_what_it_measured(tmp_path: Path) -> None:
    directory = MetricsDirectory(tmp_path)
    counting = Counting(tmp_path, "apigw")
    [running] = directory.snapshot().running
    assert (running.name, running.values[PLUGIN_FAULTS.name]) == ("apigw", [1.0])
    counting.kill()

    for _ in range(3):
        assert total(directory) == 3.0
    assert directory.snapshot().running == ()
    counting = Counting(tmp_path, "apigw")
    assert total(directory) == 6.0
    counting.kill()
    # A start folds as well, so that a process that dies again and again leaves no heap of files.
    assert Counter(UPLOAD_BYTES, directory.begin("writer")) == {}
    names = sorted(path.name.partition(".")[0] for path in tmp_path.iterdir())
    assert names == ["ended", "lock", "writer"]
    assert total(directory) == 6.0


def test_a_file_that_stayed_behind_is_not_added_again(tmp_path: Path) -> None:
    directory = MetricsDirectory(tmp_path)
    Counting(tmp_path, "apigw").kill()
    [file] = [path for path in tmp_path.iterdir() if path.name.startswith("apigw.")]
    shutil.copy(file, tmp_path / ".kept")
    assert total(directory) == 3.0
    # As if the process that folded it had been killed before it removed it.
    os.rename(tmp_path / ".kept", file)

    for _ in range(3):
        assert total(directory) == 3.0
    assert not file.exists()


def test_reads_while_another_process_holds_the_lock(tmp_path: Path) -> None:
    directory = MetricsDirectory(tmp_path)
    Counting(tmp_path, "apigw").kill()
    with directory._alone(0) as alone:
        assert alone
        for _ in range(2):
            assert directory.snapshot(max_wait=0).counted[UPLOAD_BYTES.name] == [3.0]


def test_what_another_version_wrote_is_left_out(tmp_path: Path) -> None:
    directory = MetricsDirectory(tmp_path)
    (tmp_path / "apigw.1.2").write_bytes(b"another form")
    slots.write(tmp_path / "ended", {"nothing": [1.0], UPLOAD_BYTES.name: [1.0, 2.0]})

    assert directory.snapshot().counted == {}


def test_is_in_memory_and_for_this_user_alone(tmp_path: Path) -> None:
    memory, data = tmp_path / "shm", tmp_path / "data"
    memory.mkdir()
    data.mkdir()
    directory = MetricsDirectory.of(data, None, memory=memory)

    assert directory.path.parent == memory
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert MetricsDirectory.of(data, None, memory=memory).path == directory.path


@pytest.mark.parametrize("memory", ["missing", "open"])
def test_is_in_the_data_directory_if_memory_cannot_be_used(tmp_path: Path, memory: str) -> None:
    (tmp_path / "open").mkdir()
    ours = MetricsDirectory.of(tmp_path, None, memory=tmp_path / "open").path
    ours.chmod(0o777)

    assert (
        MetricsDirectory.of(tmp_path, None, memory=tmp_path / memory).path == tmp_path / "metrics"
    )


def test_a_chosen_directory_is_made(tmp_path: Path) -> None:
    chosen = tmp_path / "a" / "b"

    assert MetricsDirectory.of(tmp_path, chosen).path == chosen
    assert chosen.is_dir()


def test_what_belongs_to_a_data_directory_that_is_gone_is_removed(tmp_path: Path) -> None:
    memory, gone, used = tmp_path / "shm", tmp_path / "gone", tmp_path / "used"
    for path in (memory, gone, used):
        path.mkdir()
    left = MetricsDirectory.of(gone, None, memory=memory).path
    running = MetricsDirectory.of(used, None, memory=memory)
    running.begin("apigw")
    gone.rmdir()
    used.rmdir()
    MetricsDirectory.of(tmp_path, None, memory=memory)

    assert not left.exists()
    assert running.path.exists()


def test_without_space_a_process_counts_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    directory = MetricsDirectory(tmp_path)
    Counter(UPLOAD_BYTES, directory.begin("apigw")).add(())

    assert total(directory) == 0.0
    assert [record.__dict__["action"] for record in caplog.records] == ["metrics_unshared"]
    assert [process.values for process in directory.snapshot().running] == [{}]


def test_without_space_for_the_sums_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = MetricsDirectory(tmp_path)
    Counting(tmp_path, "apigw").kill()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        assert [total(directory) for _ in range(2)] == [3.0, 3.0]

    assert [total(directory) for _ in range(2)] == [3.0, 3.0]
