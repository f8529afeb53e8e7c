"""perf.data files: written so that ``perf script`` and ``perf report`` read them, and read whoever wrote them.

`PerfDataRecorder` writes what a session reads; `PerfDataFile` reads; `read_traffic` tells what a recording was like, to
be played again on a simulated kernel. docs/perfdata.md shows the commands.
"""

from __future__ import annotations

from perfring.perfdata.described import FileEvent, FileFeatures, Place
from perfring.perfdata.reader import FileCounts, PerfDataFile
from perfring.perfdata.recorder import PerfDataRecorder
from perfring.perfdata.traffic import Traffic, read_traffic
from perfring.perfdata.writer import PerfDataWriter

__all__ = [
    "FileCounts",
    "FileEvent",
    "FileFeatures",
    "PerfDataFile",
    "PerfDataRecorder",
    "PerfDataWriter",
    "Place",
    "Traffic",
    "read_traffic",
]
