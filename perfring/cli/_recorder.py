"""One run of ``perfring record``: opens, reads until something ends it, and sums up."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import typer

from perfring.cli._advice import of_command
from perfring.cli._lines import Lines, Names
from perfring.cli._output import DATA_SUFFIX, ENDING, JsonWriter, LineWriter, Output
from perfring.cli._parquet_path import PARQUET_SUFFIX
from perfring.cli._tally import Tally
from perfring.command import Command
from perfring.errors import CommandNotStarted
from perfring.plan import COLUMN_DRAIN_BUDGET
from perfring.session import Session
from perfring.stopping import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from perfring.cli._choices import Choices
    from perfring.cli._output import Writer
    from perfring.cli._parquet import ParquetWriter
    from perfring.kernel import Kernel
    from perfring.plan import SessionPlan

__all__ = ["Recorder"]

_STDERR: Final = 2
_LIVE_PER_SECOND: Final = 4


class Recorder:
    """Carries a plan out.

    Args:
        kernel: what to record on.
        plan: what to record; of a command everything but its pid.
        choices: the rest of what the command line said.
        json: whether records are JSON lines.
        path: the file for them; ``-`` is standard output, None as well. With the suffix ``.data`` it is for perf, with
            the suffix ``.parquet`` it is the first of the tables.
    """

    def __init__(self, kernel: Kernel, plan: SessionPlan, choices: Choices, *, json: bool, path: str | None) -> None:
        self._kernel = kernel
        self._plan = plan
        self._choices = choices
        self._json = json or path is not None
        self._path = None if path == "-" else path
        self._expired = False
        self._tables: ParquetWriter | None = None
        if self._path is not None and self._path.endswith(PARQUET_SUFFIX):
            self._plan = replace(plan, columns=True, budget_bytes=COLUMN_DRAIN_BUDGET)

    def run(self) -> int:
        """Returns the exit status of ``perfring record``.

        Raises:
            PerfringError, OSError: the kernel refused something, or a file cannot be written; nothing is left behind.
        """
        with ExitStack() as opened:
            self._open_tables(opened)
            command = self._fork(opened)
            cpu_before = time.process_time()
            session = opened.enter_context(Session(self._kernel, self._plan))
            tally = Tally(session, cpu_seconds_before=cpu_before)
            session.on_error(lambda error, record: tally.note(error))  # noqa: ARG005 - the callback's signature
            with stop_on_signals(session, signals=ENDING):  # until the files are whole, too
                with self._live(tally):
                    writer = self._writer(opened, session)  # takes its time: whoever loses patience finds whole files
                    try:
                        self._begin(session, command, opened)
                    except CommandNotStarted as error:
                        typer.echo(f"perfring: {of_command(error)}", err=True)
                        return error.status
                    self._read(session, tally, writer)
                return self._finish(command, tally, writer)

    def _fork(self, opened: ExitStack) -> Command | None:
        """The child comes first: before any thread, and without any of our fds. The plan then gets its pid."""
        if not self._choices.command:
            return None
        stdout = _STDERR if self._path is None else None
        command = opened.enter_context(Command(self._choices.command, stdout=stdout))
        self._plan = replace(self._plan, pids=(command.pid,))
        return command

    def _open_tables(self, opened: ExitStack) -> None:
        """Files that cannot be written are found before anything is opened on the kernel."""
        if self._path is not None and self._plan.columns:
            from perfring.cli._parquet import ParquetWriter

            self._tables = opened.enter_context(ParquetWriter(self._kernel, self._plan, self._path))

    def _writer(self, opened: ExitStack, session: Session) -> Writer:
        if self._tables is not None:
            self._tables.make_files()
            return self._tables
        if self._path is not None and self._path.endswith(DATA_SUFFIX):
            from perfring.cli._data_writer import DataWriter

            return opened.enter_context(DataWriter(session, self._kernel, self._path, self._choices))
        output = opened.enter_context(Output(self._path))
        if self._json:
            return JsonWriter(output)
        return LineWriter(output, Lines(Names(self._kernel), colour=_has_colour()))

    def _begin(self, session: Session, command: Command | None, opened: ExitStack) -> None:
        """Starts what is recorded; arranges for the end."""
        if command is not None:
            command.release()
            command.on_exit(session.stop)
        else:
            session.enable()
        if self._choices.duration is not None:
            timer = threading.Timer(self._choices.duration, self._expire, (session,))
            timer.daemon = True
            timer.start()
            opened.callback(timer.cancel)

    def _expire(self, session: Session) -> None:
        self._expired = True
        session.stop()

    def _read(self, session: Session, tally: Tally, writer: Writer) -> None:
        tally.begin()
        tally.synthesized = writer.begin(session, environment=self._choices.environment)
        for batch in session.batches():
            tally.add(batch)
            writer.write(batch)
        tally.end()

    def _finish(self, command: Command | None, tally: Tally, writer: Writer) -> int:
        figures = tally.summary()
        writer.finish(figures)
        status = 0
        if command is not None:
            status = command.finish()
            status = 0 if self._expired else status
        sys.stdout.flush()
        _console(stderr=self._path is None).print(tally.for_people(figures), end="")
        if writer.failure:
            typer.echo(f"perfring: {writer.failure}", err=True)
            return 1  # not the status of a command that was ended for it
        return status

    @contextmanager
    def _live(self, tally: Tally) -> Iterator[None]:
        """Counts that move, on stderr, unless the records would run through them."""
        console = _console(stderr=True)
        if not console.is_terminal or (self._path is None and sys.stdout.isatty()):
            if console.is_terminal and not self._choices.command:
                # The first record may come in a second, or never: nobody should take that for a hang.
                names = ", ".join(spec.name for spec in self._plan.events)
                console.print(f"recording {names} (Ctrl-C ends)", style="dim", markup=False)
            yield
            return
        from rich.live import Live

        with Live(
            console=console,
            get_renderable=tally.live,
            refresh_per_second=_LIVE_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _has_colour() -> bool:
    console = _console(stderr=False)
    return console.is_terminal and not console.no_color and console.color_system is not None
