"""Where the fields of the metadata page are: must match ``struct perf_event_mmap_page``.

The page is the first of a mapping; the data area starts at ``data_offset`` and is ``data_size``
bytes long (K2): both are read from the page, never assumed. The fields up to ``time_mask`` serve
self-monitoring with ``rdpmc``; a ring needs only those from 1024 on.
"""

from __future__ import annotations

from typing import Final

# fmt: off
__all__ = [
    "MMAP_PAGE_AUX_HEAD", "MMAP_PAGE_AUX_OFFSET", "MMAP_PAGE_AUX_SIZE", "MMAP_PAGE_AUX_TAIL",
    "MMAP_PAGE_CAPABILITIES", "MMAP_PAGE_COMPAT_VERSION", "MMAP_PAGE_DATA_HEAD",
    "MMAP_PAGE_DATA_OFFSET", "MMAP_PAGE_DATA_SIZE", "MMAP_PAGE_DATA_TAIL", "MMAP_PAGE_FIELDS",
    "MMAP_PAGE_INDEX", "MMAP_PAGE_LOCK", "MMAP_PAGE_OFFSET", "MMAP_PAGE_PMC_WIDTH",
    "MMAP_PAGE_SIZE", "MMAP_PAGE_TIME_CYCLES", "MMAP_PAGE_TIME_ENABLED", "MMAP_PAGE_TIME_MASK",
    "MMAP_PAGE_TIME_MULT", "MMAP_PAGE_TIME_OFFSET", "MMAP_PAGE_TIME_RUNNING",
    "MMAP_PAGE_TIME_SHIFT", "MMAP_PAGE_TIME_ZERO", "MMAP_PAGE_VERSION",
]
# fmt: on

MMAP_PAGE_VERSION = 0
MMAP_PAGE_COMPAT_VERSION = 4
MMAP_PAGE_LOCK = 8
MMAP_PAGE_INDEX = 12
MMAP_PAGE_OFFSET = 16
MMAP_PAGE_TIME_ENABLED = 24
MMAP_PAGE_TIME_RUNNING = 32
MMAP_PAGE_CAPABILITIES = 40
MMAP_PAGE_PMC_WIDTH = 48
MMAP_PAGE_TIME_SHIFT = 50
MMAP_PAGE_TIME_MULT = 52
MMAP_PAGE_TIME_OFFSET = 56
MMAP_PAGE_TIME_ZERO = 64
MMAP_PAGE_SIZE = 72
MMAP_PAGE_TIME_CYCLES = 80
MMAP_PAGE_TIME_MASK = 88
MMAP_PAGE_DATA_HEAD = 1024
MMAP_PAGE_DATA_TAIL = 1032
MMAP_PAGE_DATA_OFFSET = 1040
MMAP_PAGE_DATA_SIZE = 1048
MMAP_PAGE_AUX_HEAD = 1056
MMAP_PAGE_AUX_TAIL = 1064
MMAP_PAGE_AUX_OFFSET = 1072
MMAP_PAGE_AUX_SIZE = 1080

# name of the field: (offset, struct format). "size" is the length of the part that has a meaning.
MMAP_PAGE_FIELDS: Final[dict[str, tuple[int, str]]] = {
    "version": (MMAP_PAGE_VERSION, "I"),
    "compat_version": (MMAP_PAGE_COMPAT_VERSION, "I"),
    "lock": (MMAP_PAGE_LOCK, "I"),
    "index": (MMAP_PAGE_INDEX, "I"),
    "offset": (MMAP_PAGE_OFFSET, "q"),
    "time_enabled": (MMAP_PAGE_TIME_ENABLED, "Q"),
    "time_running": (MMAP_PAGE_TIME_RUNNING, "Q"),
    "capabilities": (MMAP_PAGE_CAPABILITIES, "Q"),
    "pmc_width": (MMAP_PAGE_PMC_WIDTH, "H"),
    "time_shift": (MMAP_PAGE_TIME_SHIFT, "H"),
    "time_mult": (MMAP_PAGE_TIME_MULT, "I"),
    "time_offset": (MMAP_PAGE_TIME_OFFSET, "Q"),
    "time_zero": (MMAP_PAGE_TIME_ZERO, "Q"),
    "size": (MMAP_PAGE_SIZE, "I"),
    "time_cycles": (MMAP_PAGE_TIME_CYCLES, "Q"),
    "time_mask": (MMAP_PAGE_TIME_MASK, "Q"),
    "data_head": (MMAP_PAGE_DATA_HEAD, "Q"),
    "data_tail": (MMAP_PAGE_DATA_TAIL, "Q"),
    "data_offset": (MMAP_PAGE_DATA_OFFSET, "Q"),
    "data_size": (MMAP_PAGE_DATA_SIZE, "Q"),
    "aux_head": (MMAP_PAGE_AUX_HEAD, "Q"),
    "aux_tail": (MMAP_PAGE_AUX_TAIL, "Q"),
    "aux_offset": (MMAP_PAGE_AUX_OFFSET, "Q"),
    "aux_size": (MMAP_PAGE_AUX_SIZE, "Q"),
}
