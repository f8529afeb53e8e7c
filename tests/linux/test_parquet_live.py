"""`perfring record -o FILE.parquet` as a person starts it, on the real kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.linux.test_record_live import GETPPID, MILLION, WITHOUT_END, run, start


def rows(folder: Path) -> dict[str, int]:
    """How many rows each file has; its schema is that of all its row groups, or it could not be read."""
    return {path.name: pq.read_table(path).num_rows for path in sorted(folder.iterdir())}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], check=False, capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"needs root, to mount a tmpfs: {made.stderr.strip()}")
    yield disk
    # Lazily: a thread of pyarrow may let go of what it has read a moment later.
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_million_samples_are_a_million_rows_in_bounded_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    done = run("-e", GETPPID, "--no-side-band", "--pages", "16384", "-o", str(path), "--", *MILLION)
    assert (done.returncode, rows(tmp_path)) == (0, {"t.parquet": 1_000_000})
    found = pq.read_metadata(path)
    assert max(found.row_group(place).num_rows for place in range(found.num_row_groups)) <= 1 << 17
    assert f"{path}: 1,000,000 rows" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_the_files(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "t.parquet"
    with start("-e", "sched:sched_switch", "-o", str(path), "--", sys.executable, "-c", WITHOUT_END) as process:
        while not path.exists() or not path.stat().st_size:
            assert process.poll() is None
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert "t.parquet: " in out
    assert "t.parquet" in rows(tmp_path)


def test_a_full_disk_ends_the_recording_readable_and_counted(small_disk: Path) -> None:
    path = small_disk / "t.parquet"
    done = run("-e", GETPPID, "--no-side-band", "--pages", "16384", "-o", str(path), "--", *MILLION)
    written = rows(small_disk)["t.parquet"]
    assert done.returncode != 0
    assert f"{path}: No space left on device: the recording was ended; {written:,} records" in done.stderr
    assert 0 < written < 1_000_000


@pytest.mark.parametrize("name", ["missing/t.parquet", ".", "folder.parquet"])
def test_a_path_that_cannot_be_written_is_named_before_the_command_runs(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.parquet").mkdir()
    path = str(tmp_path / name) if name != "." else "/proc/t.parquet"
    done = run("-e", GETPPID, "-o", path, "--", "touch", str(tmp_path / "ran"))
    assert done.returncode == 1
    assert path in done.stderr
    assert not (tmp_path / "ran").exists()


def test_json_lines_and_tables_exclude_each_other(tmp_path: Path) -> None:
    done = run("--json", "-o", str(tmp_path / "t.parquet"), "--", "true")
    assert (done.returncode, os.listdir(tmp_path)) == (2, [])
    assert "t.parquet" in done.stderr
