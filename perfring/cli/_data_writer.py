"""``perfring record -o FILE.data``: the records as bytes, into a file for perf."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

import typer

from perfring.perfdata import PerfDataRecorder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from perfring.cli._choices import Choices
    from perfring.kernel import Kernel
    from perfring.records import Record
    from perfring.session import Session

__all__ = ["DataWriter"]


class DataWriter:
    """Writes what comes out of the rings. When the disk is full the recording ends, and the file is readable.

    Args:
        session: whose rings.
        kernel: the session's.
        path: of the file.
        choices: what is recorded; of the kernel nothing is said where nothing of it is.

    Raises:
        OSError, PerfringError: as `PerfDataRecorder`.
    """

    def __init__(self, session: Session, kernel: Kernel, path: str, choices: Choices) -> None:
        self._session = session
        self._choices = choices
        self._refused: OSError | None = None
        self._recorder = PerfDataRecorder(session, kernel, path, command=sys.argv)

    def __enter__(self) -> Self:
        """Writes where the kernel's code is. Not later: for as long as that takes nobody would drain the rings."""
        try:
            if not self._choices.user_only:
                self._recorder.write_kernel()
        except BaseException as error:
            self._recorder.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recorder.__exit__(kind, error, trace)

    @property
    def failure(self) -> str:
        """What the disk refused, and what that means."""
        if self._refused is None:
            return ""
        return (
            f"{self._recorder.path}: {self._refused.strerror}: the recording was ended; "
            f"{self._recorder.counts.total():,} records are in the file, which is readable, and "
            f"{self._recorder.unwritten:,} are not"
        )

    def begin(self, session: Session, *, environment: bool) -> int:  # noqa: ARG002 - the recorder has the session
        """The names and mappings of what runs already: perf finds no symbols without. A command tells of itself."""
        if environment or not self._choices.command:
            self._recorder.write_environment()
            for pid in self._recorder.hidden:
                typer.echo(
                    f"perfring: the mappings of process {pid} may not be read, and perf will find no names for its "
                    "addresses: run as root, or with CAP_SYS_PTRACE",
                    err=True,
                )
        return self._recorder.synthesized

    def write(self, records: Sequence[Record]) -> None:
        """Writes what was read until now. The first refusal of the disk ends the recording."""
        try:
            self._recorder.write(records)
        except OSError as error:
            self._refused = error
            self._session.stop()

    def finish(self, figures: dict[str, Any]) -> None:  # noqa: ARG002 - the file has its own
        """Closes the file."""
        try:
            self._recorder.close()
        except OSError as error:
            self._refused = self._refused or error
