"""The producer of the live figures: a C process that calls getppid(2) on one CPU (``producer.c``)."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Self

from benchmarks.compiling import build


class Producer:
    """The running process, which waits for orders. Use it as a context manager.

    Args:
        cpu: the CPU that it is pinned to.

    Raises:
        UnavailableError: it cannot be built.
    """

    def __init__(self, cpu: int) -> None:
        self._process = subprocess.Popen(
            [build("producer"), str(cpu)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def call(self, count: int, *, gap_ns: int = 0) -> int:
        """Makes so many calls, and returns when all are made.

        Args:
            count: how many.
            gap_ns: nanoseconds from one to the next; 0 for full speed.

        Returns:
            the nanoseconds that they took.

        Raises:
            RuntimeError: the process has died.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("the producer has no pipes")
        stdin.write(f"{count} {gap_ns}\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError(f"the producer ended with status {self._process.wait()}")
        return int(answer)

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
