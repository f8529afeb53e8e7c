"""Records a session into a perf.data file: the very bytes that the kernel wrote, and what perf needs to read them.

Rings are read one after the other, so the records of a file are in order within each ring only. perf sorts them, and
keeps them in memory until PERF_RECORD_FINISHED_ROUND tells that nothing older will come: at each of these it puts out
what is not younger than the youngest that it had seen at the *one before*. So one is written as soon as all that was
stamped before the last one is known to be in the file: when the session has delivered something younger, for it
delivers in time order over all rings.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Self

from perfring import abi
from perfring.abi import PERF_RECORD_SAMPLE
from perfring.environment import capture
from perfring.errors import Unsupported
from perfring.perfdata.buildids import KERNEL_NAME, elf_build_id, encode_build_ids, kernel_build_id
from perfring.perfdata.describing import describe_machine, describe_session
from perfring.perfdata.synthesized import FINISHED_ROUND, encode_synthesized, kernel_mappings, lost_record
from perfring.perfdata.tracing import collect_tracing_data
from perfring.perfdata.writer import PerfDataWriter
from perfring.sideband import Comm, Lost, Mmap, Mmap2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from perfring.kernel import Kernel
    from perfring.records import Record
    from perfring.session import Session

__all__ = ["PerfDataRecorder"]

_U64: Final = (1 << 64) - 1
_HALF: Final = 1 << 63
_MOST_FILES: Final = 1 << 14
"""Whose build ids are looked up in the end."""


class PerfDataRecorder:
    """Writes what a session reads into a file.

    ::

        with PerfDataRecorder(session, kernel, "out.data") as recorder:
            recorder.write_kernel()
            session.enable()
            recorder.write_environment()
            for batch in session.batches(duration=10):
                recorder.write(batch)
            recorder.close()

    Args:
        session: opened, and not read yet.
        kernel: the session's.
        path: of the file.
        command: the command line, for the file to tell.

    Attributes:
        counts: records in the file, by kind; without those that `write_environment` made.
        synthesized: those.
        hidden: the target processes whose mappings `write_environment` could not read: perf finds no names in them.

    Raises:
        OSError, PerfringError: the file cannot be written, or tracefs not be read.
    """

    def __init__(self, session: Session, kernel: Kernel, path: str, *, command: Sequence[str] = ()) -> None:
        self._session = session
        self._kernel = kernel
        self._clock = session.plan.clock_id
        self.events = describe_session(session)
        names = [spec.name for spec in session.plan.events if spec.format is not None]
        tracing_data = collect_tracing_data(kernel, names) if names else None
        features = describe_machine(kernel, command=command)
        self._writer = PerfDataWriter(path, self.events, features=features, tracing_data=tracing_data)
        self._trailer = abi.sample_id_size(session.plan.leader.attr.sample_type)
        self.counts: Counter[str] = Counter()
        self.synthesized = 0
        self.hidden: list[int] = []
        self._waiting: Counter[str] = Counter()
        self._expected: dict[int, int] = {}
        self._files: set[str] = set()
        self._told: Counter[int] = Counter()
        self._first = self._last = -1
        self._failed = False
        self._round_until = -1
        self._known = _open_events(session)
        session.on_image(self._take)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.on_image(None)
        self._writer.abandon()

    @property
    def path(self) -> str:
        """The file's."""
        return self._writer.path

    @property
    def written(self) -> int:
        """Bytes of records that are in the file for good."""
        return self._writer.written

    @property
    def unwritten(self) -> int:
        """Records that were read and are not in the file."""
        return self._waiting.total()

    def write_kernel(self) -> None:
        """Writes where the code of the kernel and of its modules is: perf finds no name for their addresses without.

        Raises:
            OSError: as `write`.
        """
        self._writer.add(kernel_mappings(self._kernel, trailer_bytes=self._trailer))
        self._commit()

    def write_environment(self) -> None:
        """Writes the names and mappings of what runs already. Enable the session before, so that nothing falls between.

        Raises:
            OSError: as `write`.
        """
        found = [each for each in self._environment() if isinstance(each, Comm | Mmap2)]
        self._writer.add(encode_synthesized(found, trailer_bytes=self._trailer))
        self._note_files(found)
        self._commit()
        self.synthesized += len(found)

    def _environment(self) -> Iterator[Record]:
        """Also where a target may be recorded and not be looked into, for which the kernel asks other capabilities."""
        pids = self._session.plan.pids
        if pids is None:
            yield from self._session.environment()
        for pid in pids or ():
            try:
                yield from capture(self._kernel, (pid,))
            except PermissionError:
                self.hidden.append(pid)

    def write(self, batch: Sequence[Record]) -> None:
        """Writes what was read from the rings until now, of which ``batch`` was delivered last.

        Raises:
            Unsupported: the session got a tracepoint since: its attr is not in the file.
            OSError: the disk is full, or the like. The file is whole, and has what it had before; nothing more will be
                written to it, and `unwritten` counts what is not in it.
        """
        if self._failed:
            return
        if _open_events(self._session) > self._known:
            raise Unsupported(
                f"the session got an event after {self.path} was begun, which the file knows nothing of: "
                "add tracepoints before recording"
            )
        if batch and batch[-1].time is not None and batch[-1].time > self._round_until:
            self._writer.add(FINISHED_ROUND)
            self._round_until = self._kernel.clock_ns(self._clock)
        self._commit()

    def close(self) -> None:
        """Writes the rest, what the kernel lost without a record of it (K22), and the build ids. Idempotent.

        Raises:
            OSError: as `write`.
        """
        self._session.on_image(None)
        self._add_losses()
        build_ids = b"" if self._failed else encode_build_ids(self._build_ids())
        self._writer.close(times=None if self._last < 0 else (self._first, self._last), build_ids=build_ids)
        if not self._failed:
            self._settle()

    def _take(self, cpu: int, position: int, image: bytes, records: Sequence[Record]) -> None:
        """Keeps what came out of a ring; the file is none of the reader's concern."""
        if records and self._is_new(cpu, records):
            self._waiting.update(record.kind for record in records)
            if not self._failed:
                self._writer.add(_whole(image, position, records))
                self._note_files(records)
                self._note_times(records)
                self._told[cpu] += sum(each.lost for each in records if isinstance(each, Lost))

    def _is_new(self, cpu: int, records: Sequence[Record]) -> bool:
        """Whether it did not come before: an interrupt may have left it in the ring."""
        last = records[-1]
        end = last.position + last.size & _U64
        expected = self._expected.get(cpu, records[0].position)
        self._expected[cpu] = end
        return (records[0].position - expected) & _U64 < _HALF

    def _note_times(self, records: Sequence[Record]) -> None:
        times = [each.time for each in records if each.type == PERF_RECORD_SAMPLE and each.time is not None]
        if times:
            self._first = min(times) if self._first < 0 else min(self._first, *times)
            self._last = max(self._last, *times)

    def _note_files(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record, Mmap) and record.filename.startswith("/") and len(self._files) < _MOST_FILES:
                self._files.add(record.filename)

    def _commit(self) -> None:
        try:
            self._writer.commit()
        except OSError:
            self._failed = True
            self._writer.discard()
            raise
        self._settle()

    def _settle(self) -> None:
        self.counts += self._waiting
        self._waiting.clear()

    def _add_losses(self) -> None:
        """What no LOST record in the file has told: of each ring, and what the disk refused."""
        leaders = {place.cpu: event_id for event_id, place in self.events[0].places.items()}
        sample_type = self.events[0].attr.sample_type
        refused = self.unwritten if self._failed else 0
        for ring in self._session.statistics().rings:
            told = self._told.get(ring.cpu, 0)
            untold, refused = max(ring.lost - told, 0) + refused, 0
            if untold:
                self._writer.add(lost_record(leaders[ring.cpu], untold, sample_type=sample_type))

    def _build_ids(self) -> Iterable[tuple[str, bytes]]:
        kernel = kernel_build_id(self._kernel)
        if kernel is not None:
            yield KERNEL_NAME, kernel
        for path in sorted(self._files):
            found = elf_build_id(path)
            if found is not None:
                yield path, found


def _whole(image: bytes, position: int, records: Sequence[Record]) -> bytes:
    """The bytes of the records, without what is bad, or cut off behind them."""
    total = sum(record.size for record in records)
    last = records[-1]
    if (last.position - position & _U64) + last.size == total:
        return image[:total]
    starts = [(record.position - position & _U64, record.size) for record in records]
    return b"".join(image[start : start + size] for start, size in starts)


def _open_events(session: Session) -> int:
    return sum(len(ring.events) for ring in session.rings)
