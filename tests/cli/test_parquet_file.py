"""One Parquet file: row groups are bounded, memory too, and a full disk leaves a readable file and a count."""

from __future__ import annotations

import errno
import os
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perfring.cli import _parquet, main, record
from perfring.cli._parquet_file import ParquetFile
from perfring.cli._parquet_path import ParquetNames, ParquetPath
from perfring.cli._parquet_tables import is_ours
from tests.unit._opening import PaperKernel

SCHEMA = pa.schema({"time": pa.uint64(), "name": pa.string(), "chain": pa.large_list(pa.uint64())})
NOISE = random.Random(1)


def rows(count: int, *, first: int = 0, width: int = 1) -> pa.RecordBatch:
    """Rows that no compression makes smaller."""
    chains = [[NOISE.getrandbits(64) for _ in range(width)] for _ in range(count)]
    columns = [list(range(first, first + count)), [f"n{place % 3}" for place in range(count)], chains]
    made = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(made, schema=SCHEMA)


def opened(path: Path, *, most: int = 1000, nbytes: int = 1 << 20) -> ParquetFile:
    return ParquetFile(ParquetPath(str(path)), SCHEMA, {"made": "here"}, rows=most, nbytes=nbytes)


def sizes(path: Path) -> list[int]:
    """The rows of each row group."""
    found = pq.read_metadata(path)
    return [found.row_group(place).num_rows for place in range(found.num_row_groups)]


@contextmanager
def room_for(nbytes: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: as a full disk, with EFBIG in place of ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_rows_come_back_in_their_order(tmp_path: Path) -> None:
    file = opened(tmp_path / "f")
    for first in range(0, 2500, 10):
        file.add(rows(10, first=first))
    file.close({})
    assert pq.read_table(tmp_path / "f")["time"].to_pylist() == list(range(2500))


def test_row_groups_have_so_many_rows(tmp_path: Path) -> None:
    file = opened(tmp_path / "f")
    for count in (999, 3, 2500):
        file.add(rows(count))
    file.close({})
    assert sizes(tmp_path / "f") == [1000, 1000, 1000, 502]


def test_row_groups_have_so_many_bytes(tmp_path: Path) -> None:
    file = opened(tmp_path / "f", nbytes=100_000)
    file.add(rows(400, width=100))
    file.close({})
    assert sum(sizes(tmp_path / "f")) == 400
    assert max(sizes(tmp_path / "f")) <= 125


def test_a_row_larger_than_a_row_group_may_be_is_one(tmp_path: Path) -> None:
    file = opened(tmp_path / "f", nbytes=100)
    file.add(rows(3, width=100))
    file.close({})
    assert sizes(tmp_path / "f") == [1, 1, 1]


def test_memory_stays_flat_however_many_rows_come(tmp_path: Path) -> None:
    file, most = opened(tmp_path / "f"), 0
    for first in range(0, 50_000, 70):
        file.add(rows(70, first=first))
        most = max(most, file.buffered)
    file.close({})
    assert most < 1000


def test_many_batches_of_one_row_are_joined(tmp_path: Path) -> None:
    file = opened(tmp_path / "f", most=10_000)
    for first in range(3000):
        file.add(rows(1, first=first))
    assert len(file._pieces) < 30
    file.close({})
    assert pq.read_table(tmp_path / "f")["time"].to_pylist() == list(range(3000))


def test_a_file_without_rows_has_the_schema(tmp_path: Path) -> None:
    opened(tmp_path / "f").close({})
    assert pq.read_schema(tmp_path / "f").equals(SCHEMA)


def test_metadata_of_the_beginning_and_of_the_end_are_in_the_footer(tmp_path: Path) -> None:
    opened(tmp_path / "f").close({"ended": "well"})
    found = pq.read_metadata(tmp_path / "f").metadata
    assert (found[b"made"], found[b"ended"]) == (b"here", b"well")


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    file = opened(tmp_path / "f")
    file.add(rows(5))
    file.close({})
    file.close({})
    assert sizes(tmp_path / "f") == [5]


def test_it_is_compressed_by_zstd(tmp_path: Path) -> None:
    file = opened(tmp_path / "f")
    file.add(rows(5))
    file.close({})
    assert pq.read_metadata(tmp_path / "f").row_group(0).column(0).compression == "ZSTD"


# A full disk.


@pytest.mark.parametrize("limit", range(30_000, 150_000, 10_000))
def test_what_was_written_before_the_disk_was_full_is_readable_and_the_rest_is_counted(
    tmp_path: Path, limit: int
) -> None:
    with room_for(limit):
        file = opened(tmp_path / "f", most=100)
        for first in range(0, 2000, 100):
            file.add(rows(100, first=first, width=10))
        file.close({"summary": "x" * 1000})
    assert (file.refused and file.refused.errno) == errno.EFBIG
    assert file.refused is not None
    assert file.refused.filename == str(tmp_path / "f")
    assert pq.read_table(tmp_path / "f")["time"].to_pylist() == list(range(file.written))
    assert file.written + file.unwritten == 2000


def test_a_row_group_that_just_fits_is_written_although_its_bound_does_not_fit(tmp_path: Path) -> None:
    with room_for(100_000):  # the bound says 1.1 million
        file = opened(tmp_path / "f", most=40_000)
        file.add(rows(40_000, width=0))
        file.close({})
    assert (file.refused, file.written) == (None, 40_000)


def test_a_disk_without_room_for_an_empty_file_is_said_at_once(tmp_path: Path) -> None:
    with room_for(1000), pytest.raises(OSError, match="File too large") as caught:
        opened(tmp_path / "f")
    assert caught.value.filename == str(tmp_path / "f")


def test_without_promises_from_the_filesystem_a_file_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", _not_supported)
    file = opened(tmp_path / "f")
    file.add(rows(5))
    file.close({})
    assert sizes(tmp_path / "f") == [5]


def test_without_promises_a_full_disk_is_said_and_every_row_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", _not_supported)
    with room_for(50_000):
        file = opened(tmp_path / "f", most=100)
        for first in range(0, 2000, 100):
            file.add(rows(100, first=first, width=10))
        file.close({})
    assert (file.written, file.unwritten, file.readable) == (0, 2000, False)


def _not_supported(fd: int, offset: int, length: int) -> None:
    raise OSError(errno.EOPNOTSUPP, "not supported")


def test_no_reserve_is_left_behind(tmp_path: Path) -> None:
    file = opened(tmp_path / "f")
    file.add(rows(5))
    file.close({})
    found = os.stat(tmp_path / "f")
    assert found.st_size < 5000
    assert found.st_blocks * 512 < 20_000


# Before anything is opened.


def test_without_pyarrow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_parquet, "find_spec", lambda name: None)
    monkeypatch.setattr(record, "_this_kernel", PaperKernel)
    assert main(["record", "-o", str(tmp_path / "t.parquet")]) == 1
    assert "pip install 'perfring[arrow]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# Paths.


def test_a_file_stays_as_it_was_until_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    ParquetPath(str(tmp_path / "old")).drop()
    ParquetPath(str(tmp_path / "new")).drop()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "old")]


@pytest.mark.parametrize("name", ["missing/f.parquet", "folder.parquet", "pipe.parquet"])
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.parquet").mkdir()
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(OSError) as caught:
        ParquetPath(str(tmp_path / name))
    assert caught.value.filename == str(tmp_path / name)


def test_the_only_event_has_the_name_that_was_asked_for_and_kinds_have_theirs(tmp_path: Path) -> None:
    names = ParquetNames(str(tmp_path / "t.parquet"), ["cpu-clock"])
    found = [names.of(kind) for kind in ("cpu-clock", "comm", "comm#2", "a:b", "a-b", "a-b")]
    expected = ["t", "t.comm", "t.comm-2", "t.a-b", "t.a-b-2", "t.a-b-3"]
    assert found == [str(tmp_path / f"{name}.parquet") for name in expected]


def test_of_several_events_each_has_its_own(tmp_path: Path) -> None:
    names = ParquetNames(str(tmp_path / "t.parquet"), ["a:b", "c:d"])
    assert [Path(names.of(event)).name for event in ("a:b", "c:d")] == ["t.a-b.parquet", "t.c-d.parquet"]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        ParquetNames(str(tmp_path / "no" / "t.parquet"), [])
    assert caught.value.filename == str(tmp_path / "no" / "t.parquet")


@pytest.mark.parametrize("error", [pa.ArrowNotImplementedError, pa.ArrowInvalid, UnicodeError, OSError])
def test_whatever_arrow_says_of_a_damaged_file_it_is_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(_: str) -> None:
        raise error("more than 64 bits")

    (tmp_path / "f").touch()
    monkeypatch.setattr(pq, "read_metadata", refuse)
    assert not is_ours(str(tmp_path / "f"))


def test_a_pipe_of_such_a_name_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.sample.parquet")
    assert not is_ours(str(tmp_path / "f.sample.parquet"))
