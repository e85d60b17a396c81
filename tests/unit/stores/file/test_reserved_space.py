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
    first, second = (
        SharedReservedSpace(tmp_path / "promised", row=row, rows=2) for row in range(2)
    )
    first.add(7, 100)
    second.add(7, 20)
    second.add(8, 3)

    assert (first.total(7), second.total(7)) == (120, 120)
    assert (first.total(8), second.total(8)) == (3, 3)
    first.add(7, -100)
    assert second.total(7) == 20


def test_what_a_former_process_promised_is_void(tmp_path: Path) -> None:
    first, second = (
        SharedReservedSpace(tmp_path / "promised", row=row, rows=2) for row in range(2)
    )
    first.add(7, 100)
    SharedReservedSpace(tmp_path / "promised", row=0, rows=2)

    assert second.total(7) == 0


def test_more_file_systems_than_are_shared_stay_ones_own(tmp_path: Path) -> None:
    first, second = (
        SharedReservedSpace(tmp_path / "promised", row=row, rows=2) for row in range(2)
    )
    for device in range(1, MAX_FILESYSTEMS + 2):
        first.add(device, 1)

    assert first.total(MAX_FILESYSTEMS + 1) == 1
    assert (second.total(MAX_FILESYSTEMS), second.total(MAX_FILESYSTEMS + 1)) == (1, 0)
