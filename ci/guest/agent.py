"""Runs jobs one after another and sends what came of each: in a guest as a script, on the host as a function.

After each job its output, the files that it wrote and then its status go out, so that a guest that dies later has
delivered. Imports nothing of the project save the framing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT))

from ci.guest.frames import encode  # noqa: E402

__all__ = ["Send", "main", "run_jobs"]

_GLANCE: Final = 1.0
"""Seconds between two looks at what a job prints."""
_PULSE: Final = 20
"""Looks until a silent job is mentioned."""

Send = Callable[[str, bytes], object]
"""Takes one piece: its name and its bytes."""


def main(jobs: Path, port: Path) -> None:
    """What a guest does.

    Args:
        jobs: a file of JSON, see `run_jobs`.
        port: where the frames go.
    """
    with port.open("wb", buffering=0) as out:

        def send(name: str, data: bytes) -> None:
            frame = memoryview(encode(name, data))
            while frame:
                frame = frame[out.write(frame) :]

        run_jobs(json.loads(jobs.read_text()), Path("/tmp"), send)


def run_jobs(jobs: Iterable[Mapping[str, Any]], folder: Path, send: Send) -> None:
    """Sends ``hello``, then of each job ``NAME/log``, its files and ``NAME/status``, at last ``bye``.

    Args:
        jobs: each with ``name``, ``argv``, ``outputs`` (names of files in the folder) and ``timeout`` in seconds.
        folder: where the jobs write.
        send: takes the pieces.
    """
    send("hello", json.dumps(_machine()).encode())
    for job in jobs:
        _run(job, folder, send)
    send("bye", b"")


def _machine() -> dict[str, Any]:
    kernel = os.uname()
    return {"release": kernel.release, "version": kernel.version, "cpus": os.cpu_count()}


def _run(job: Mapping[str, Any], folder: Path, send: Send) -> None:
    name = job["name"]
    sys.stderr.write(f"agent: {name}\n")
    began = time.monotonic()
    log = folder / f"{name}.log"
    status = _status(job["argv"], job["timeout"], log)
    seconds = round(time.monotonic() - began, 1)
    send(f"{name}/log", log.read_bytes())
    for each in job["outputs"]:
        if (path := folder / each).is_file():
            send(f"{name}/{each}", path.read_bytes())
    send(f"{name}/status", json.dumps({"status": status, "seconds": seconds}).encode())


def _status(argv: list[str], timeout: float, log: Path) -> int | None:
    """The exit status, or None when the time was up.

    While it runs, the newest line of its log goes to the console once a second: there the host sees what it does, and
    what it hangs in. A job without a word is quoted as well now and then: the guest is alive.
    """
    deadline = time.monotonic() + timeout
    shown, glances = b"", 0
    with (
        log.open("wb") as output,
        subprocess.Popen(argv, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process,
    ):
        while time.monotonic() < deadline:
            try:
                return process.wait(_GLANCE)
            except subprocess.TimeoutExpired:
                glances += 1
                newest = b"".join(log.read_bytes().splitlines()[-1:])
            if newest != shown or not glances % _PULSE:
                shown = newest
                sys.stderr.write(f"agent: {glances} s: {newest.decode(errors='backslashreplace')}\n")
        process.kill()
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
