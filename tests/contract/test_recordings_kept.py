"""From trace files to the recording of a kernel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simkernel.contract.program import Program
from simkernel.contract.recordings import keep, recordings_in
from simkernel.contract.trace import Machine, SimBench, Trace, TraceError, configuration, read_traces, write_traces

MACHINE = replace(SimBench().machine, release="6.18.44")
STEPS = Program.parse("p = epoll")


def part(folder: Path, *names: str, machine: Machine = MACHINE) -> Path:
    path = folder / f"{'-'.join(names).replace('/', '_')}.jsonl"
    write_traces(path, machine, [Trace(name, STEPS, ({"ok": None},)) for name in names])
    return path


def names_in(path: Path) -> list[str]:
    return [trace.name for trace in read_traces(path)[1]]


def test_the_parts_become_one_recording_named_by_the_release(tmp_path: Path) -> None:
    path = keep([part(tmp_path, "x/one"), part(tmp_path, "random/1/0")], tmp_path / "r", facts={"packages": "linux=1"})
    assert (path.name, names_in(path)) == ("6.18.gz", ["x/one", "random/1/0"])
    assert read_traces(path)[0].facts["packages"] == "linux=1"


def test_a_batch_that_was_not_run_stays(tmp_path: Path) -> None:
    keep([part(tmp_path, "x/one"), part(tmp_path, "random/1/0")], tmp_path, facts={})
    path = keep([part(tmp_path, "x/two")], tmp_path, facts={})
    assert names_in(path) == ["x/two", "random/1/0"]


def test_batches_of_two_kernels_do_not_mix(tmp_path: Path) -> None:
    keep([part(tmp_path, "x/one"), part(tmp_path, "random/1/0")], tmp_path, facts={})
    newer = part(tmp_path, "x/two", machine=replace(MACHINE, release="6.18.45"))
    with pytest.raises(ValueError, match=r"is of 6\.18\.44, this is 6\.18\.45"):
        keep([newer], tmp_path, facts={})


def test_parts_of_two_kernels_are_refused(tmp_path: Path) -> None:
    parts = [part(tmp_path, "x/one"), part(tmp_path, "x/two", machine=replace(MACHINE, release="6.1.176"))]
    with pytest.raises(ValueError, match="not of one"):
        keep(parts, tmp_path, facts={})


def test_recordings_are_listed_oldest_kernel_first(tmp_path: Path) -> None:
    for name in ("6.12.gz", "5.10.gz", "6.1.gz"):
        (tmp_path / name).touch()
    assert [path.stem for path in recordings_in(tmp_path)] == ["5.10", "6.1", "6.12"]


def test_a_folder_without_recordings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no recordings"):
        recordings_in(tmp_path)


@pytest.mark.parametrize("cut", [20, 100, -1])
def test_a_recording_that_was_cut_off_is_named(tmp_path: Path, cut: int) -> None:
    path = keep([part(tmp_path, "x/one")], tmp_path, facts={})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(TraceError, match=r"6\.18\.gz"):
        read_traces(path)


def test_a_recording_with_damaged_bytes_is_named(tmp_path: Path) -> None:
    path = keep([part(tmp_path, "x/one")], tmp_path, facts={})
    path.write_bytes(path.read_bytes()[:15] + b"\xff" * 40)
    with pytest.raises(TraceError, match=r"6\.18\.gz"):
        read_traces(path)


def test_of_the_configuration_only_what_programs_notice_is_kept() -> None:
    lines = ["CONFIG_HZ=250", "CONFIG_HZ_250=y", "# CONFIG_PREEMPT is not set", "CONFIG_PREEMPT_RCU=y", "CONFIG_EXT4=y"]
    assert configuration(lines) == {"CONFIG_HZ": "250", "CONFIG_PREEMPT_RCU": "y"}
