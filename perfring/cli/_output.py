"""Where the records go: whole lines, one write(2) for each batch."""

from __future__ import annotations

import os
import signal
import stat
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from perfring.cli._json import JsonLines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from perfring.cli._lines import Lines
    from perfring.records import Record
    from perfring.session import Session

__all__ = ["DATA_SUFFIX", "ENDING", "JsonWriter", "LineWriter", "Output", "Writer"]

DATA_SUFFIX: Final = ".data"
"""Of a file for perf, as its own ``perf.data``."""

ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that end a recording; a terminal that is lost is one of them. Windows has no SIGHUP."""

_STDOUT: Final = 1


class Writer(Protocol):
    """What a recording writes its records into."""

    @property
    def failure(self) -> str:
        """Why records are missing in what was written, although it could go on; empty when none are."""
        ...

    def begin(self, session: Session, *, environment: bool) -> int:
        """Writes what comes before the records; returns how many records were made from /proc for it."""
        ...

    def write(self, records: Sequence[Record]) -> None:
        """Writes a batch."""
        ...

    def finish(self, figures: dict[str, Any]) -> None:
        """Writes what comes behind them."""
        ...


class _TextWriter:
    """What lines of both kinds share: the environment is written as any batch."""

    @property
    def failure(self) -> str:
        """Nothing is missing in what was written."""
        return ""

    def begin(self, session: Session, *, environment: bool) -> int:
        """The names and mappings of what runs already, if they were asked for."""
        known = list(session.environment()) if environment else []
        self.write(known)
        return len(known)

    def write(self, records: Sequence[Record]) -> None:
        """Writes them at once; raises as `Output.write`."""
        raise NotImplementedError


class Output:
    """A file, or standard output, that takes whole lines.

    When a write fails in the midst of a line, as on a full disk, a regular file is cut back to its last whole line.

    Args:
        path: the file, made or emptied; None for standard output, which stays open.

    Attributes:
        kept: the whole lines of the write that failed which are in the file all the same.

    Raises:
        OSError: it cannot be opened for writing; ``filename`` is the path.
    """

    def __init__(self, path: str | None) -> None:
        self.name = path
        self.kept = 0
        self._fd = (
            _STDOUT if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.name is not None:
            os.close(self._fd)

    def write(self, text: str) -> None:
        """Writes lines; what is no UTF-8 in a name is escaped.

        Raises:
            BrokenPipeError: nobody reads standard output any more.
            OSError: the disk is full, or the like; ``filename`` says where.
        """
        data = text.encode("utf-8", "backslashreplace")
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError as error:
            self._cut_back(data[:written])
            error.filename = self.name or "standard output"
            raise

    @property
    def is_file(self) -> bool:
        """Whether it is a file of its own, of which what was written stays."""
        return self.name is not None and stat.S_ISREG(os.fstat(self._fd).st_mode)

    def _cut_back(self, written: bytes) -> None:
        self.kept = written.count(b"\n")
        if written and self.is_file:
            torn = len(written) - (written.rfind(b"\n") + 1)
            os.ftruncate(self._fd, os.lseek(self._fd, -torn, os.SEEK_CUR))


class JsonWriter(_TextWriter):
    """Records as JSON lines, in the schema of `Record.to_dict`. Where a disk is full the recording ends."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lines = JsonLines()
        self._session: Session | None = None
        self._refused: OSError | None = None
        self._written = self._unwritten = 0

    @property
    def failure(self) -> str:
        """What the disk refused, and what that means."""
        if self._refused is None:
            return ""
        return (
            f"{self._output.name}: {self._refused.strerror}: the recording was ended; {self._written:,} records are in "
            f"the file, and {self._unwritten:,} are not"
        )

    def begin(self, session: Session, *, environment: bool) -> int:
        """The names and mappings of what runs already, if they were asked for."""
        self._session = session
        return super().begin(session, environment=environment)

    def write(self, records: Sequence[Record]) -> None:
        """Writes them at once. What a full disk refuses is counted; what is no file raises as `Output.write`."""
        if self._refused is not None:
            self._unwritten += len(records)
        elif self._put("".join(map(self._lines.of, records))):
            self._written += len(records)
        else:
            self._written += self._output.kept
            self._unwritten += len(records) - self._output.kept

    def finish(self, figures: dict[str, Any]) -> None:
        """The last line. It is what a file has no more room for that is not all there."""
        if self._refused is None:
            self._put(self._lines.summary(figures))

    def _put(self, text: str) -> bool:
        """Writes lines, or ends the recording. Returns whether it wrote them all."""
        try:
            self._output.write(text)
        except OSError as error:
            if self._session is None or not self._output.is_file:
                raise
            self._refused = error
            self._session.stop()
        return self._refused is None


class LineWriter(_TextWriter):
    """Records as lines for people."""

    def __init__(self, output: Output, lines: Lines) -> None:
        self._output = output
        self._line = lines.of

    def write(self, records: Sequence[Record]) -> None:
        """Writes them at once; raises as `Output.write`."""
        self._output.write("".join(map(self._line, records)))

    def finish(self, figures: dict[str, Any]) -> None:
        """People get their summary on its own."""
