"""`perfring record -o FILE.data`: what is in the file before anything is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfring.cli._choices import Choices
from perfring.cli._data_writer import DataWriter
from perfring.perfdata import PerfDataFile
from perfring.session import Session
from perfring.sideband import Mmap
from simkernel import SimKernel
from tests.unit._simulated import watching
from tests.unit.test_perfdata_recorder import Hidden

KALLSYMS = b"""\
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000010 T not_text
ffffffff82000000 T _etext
ffffffffc0000000 t _text\t[some_module]
"""


class WithSymbols(SimKernel):
    """A simulated kernel that shows where its code is."""

    def read_bytes(self, path: str) -> bytes:
        return KALLSYMS if path == "/proc/kallsyms" else super().read_bytes(path)


def mapped(path: Path) -> list[tuple[str, int, int]]:
    """Name, address and length of each mapping in the file."""
    with PerfDataFile(str(path)) as found:
        return [(each.filename, each.addr, each.length) for each in found.records() if isinstance(each, Mmap)]


@pytest.fixture
def kernel() -> WithSymbols:
    return WithSymbols(paranoid=-1, capabilities={"CAP_SYS_ADMIN"})


@pytest.fixture
def session(kernel: WithSymbols) -> Session:
    return watching().build(kernel)


def test_where_the_kernel_is_stands_in_the_file_before_the_rings_fill(
    kernel: WithSymbols, session: Session, tmp_path: Path
) -> None:
    with session, DataWriter(session, kernel, str(tmp_path / "x.data"), Choices()):
        assert mapped(tmp_path / "x.data") == [("[kernel.kallsyms]_text", 0xFFFF_FFFF_8100_0000, 0x100_0000)]


def test_of_user_space_alone_nothing_is_said_of_the_kernel(
    kernel: WithSymbols, session: Session, tmp_path: Path
) -> None:
    with session, DataWriter(session, kernel, str(tmp_path / "x.data"), Choices(user_only=True)):
        assert mapped(tmp_path / "x.data") == []


def test_a_target_that_may_not_be_looked_into_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = Hidden(paranoid=-1, capabilities={"CAP_SYS_ADMIN"})
    actor = kernel.actor(cpu=0)
    with (
        watching(actor).build(kernel) as session,
        DataWriter(session, kernel, str(tmp_path / "x"), Choices()) as writer,
    ):
        assert writer.begin(session, environment=False) == 1
    assert f"the mappings of process {actor.pid} may not be read" in capsys.readouterr().err
