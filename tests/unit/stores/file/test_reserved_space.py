"""Reserved space: what several APIGWs promise counts for each of them."""

from pathlib import Path

from qmonus_lite.stores.file.reserved_space import (
    MAX_FILESYSTEMS,
    ReservedSpace,
    SharedReservedSpace,
)


def test_alone_counts_its_own() -> None:
    promised = ReservedSpace()
    promised.add(1, 50)
    promised.add(1, -20)

    assert (promised.total(1), promised.total(2)) == (30, 0)


def test_all_rows_count_by_file_system(tmp_path: Path) -> None:
    one, two = (SharedReservedSpace(tmp_path / "promised", row=row, rows=2) for row in range(2))
    one.add(7, 100)
    two.add(7, 20)
    two.add(8, 3)

    assert (one.total(7), two.total(7)) == (120, 120)
    assert (one.total(8), two.total(8)) == (3, 3)
    one.add(7, -100)
    assert two.total(7) == 20


def test_what_a_former_process_promised_is_void(tmp_path: Path) -> None:
    one, two = (SharedReservedSpace(tmp_path / "promised", row=row, rows=2) for row in range(2))
    one.add(7, 100)
    SharedReservedSpace(tmp_path / "promised", row=0, rows=2)

    assert two.total(7) == 0


def test_more_file_systems_than_are_shared_stay_ones_own(tmp_path: Path) -> None:
    one, two = (SharedReservedSpace(tmp_path / "promised", row=row, rows=2) for row in range(2))
    for device in range(1, MAX_FILESYSTEMS + 2):
        one.add(device, 1)

    assert one.total(MAX_FILESYSTEMS + 1) == 1
    assert (two.total(MAX_FILESYSTEMS), two.total(MAX_FILESYSTEMS + 1)) == (1, 0)
