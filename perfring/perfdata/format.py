"""The fixed parts of a perf.data file: must match perf's own tools/perf/util/header.h and event.h.

::

    header | ids of the events | their attrs | ... | data: records, one behind the other | table of features
                                                     data.offset ..... + data.size         16 bytes for each bit

The *header* tells where attrs and data are, and has a bit for each *feature*: what is known of machine and recording.
The table of features begins where the data ends, and tells where the content of each lies, in the order of the bits.
In the data, records of the kernel (types below 64) stand among those of perf's own (64 and above).

The pipe form, which perf writes to what cannot seek, is a header of 16 bytes and then records alone: attrs and features
come as records, too.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = [
    "FILE_HEADER",
    "FIRST_USER_TYPE",
    "FOREIGN_MAGIC",
    "MAGIC",
    "OLD_MAGIC",
    "PIPE_HEADER",
    "SECTION",
    "Feature",
    "FileHeader",
    "Section",
    "UserType",
]

MAGIC: Final = b"PERFILE2"
"""The first bytes. They are a number to perf: a machine of the other byte order writes them reversed."""
FOREIGN_MAGIC: Final = MAGIC[::-1]
OLD_MAGIC: Final = b"PERFFILE"
"""Of perf before 2.6.36 or so."""

FILE_HEADER: Final = struct.Struct("=8s12Q")
"""struct perf_file_header: magic, size, attr_size, three sections (attrs, data, event types), four words of bits."""
PIPE_HEADER: Final = struct.Struct("=8sQ")
"""struct perf_pipe_file_header: magic and its own size; the same 16 bytes begin a file, whose size is another."""
SECTION: Final = struct.Struct("=QQ")
"""struct perf_file_section: offset and size in bytes."""

FIRST_USER_TYPE: Final = 64
"""PERF_RECORD_USER_TYPE_START: from here on the types are perf's own."""


class UserType(IntEnum):
    """The record types of perf itself that perfring writes or must know to read on."""

    ATTR = 64
    TRACING_DATA = 66
    FINISHED_ROUND = 68
    ID_INDEX = 69
    AUXTRACE = 71
    FEATURE = 80
    COMPRESSED = 81
    COMPRESSED2 = 83


class Feature(IntEnum):
    """The bits of the header: HEADER_TRACING_DATA and so on."""

    TRACING_DATA = 1
    BUILD_ID = 2
    HOSTNAME = 3
    OSRELEASE = 4
    VERSION = 5
    ARCH = 6
    NRCPUS = 7
    CPUDESC = 8
    TOTAL_MEM = 10
    CMDLINE = 11
    EVENT_DESC = 12
    SAMPLE_TIME = 21
    CLOCKID = 23
    DIR_FORMAT = 24
    COMPRESSED = 27


class Section(NamedTuple):
    """A stretch of the file, in bytes."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size


class FileHeader(NamedTuple):
    """struct perf_file_header without its magic and its size.

    Attributes:
        attr_size: bytes of one entry of ``attrs``: the struct, and the section of its ids.
        attrs: one entry for each event.
        data: the records.
        features: a bit for each `Feature` that is there.
    """

    attr_size: int
    attrs: Section
    data: Section
    features: int = 0

    def pack(self) -> bytes:
        """As it stands in the file."""
        words = [self.features >> 64 * at & (1 << 64) - 1 for at in range(4)]
        return FILE_HEADER.pack(MAGIC, FILE_HEADER.size, self.attr_size, *self.attrs, *self.data, 0, 0, *words)

    @classmethod
    def unpack(cls, data: bytes) -> FileHeader:
        """Reads the 104 bytes; their magic and size have been looked at."""
        _, _, attr_size, *words = FILE_HEADER.unpack(data)
        features = sum(word << 64 * at for at, word in enumerate(words[6:]))
        return cls(attr_size, Section(*words[0:2]), Section(*words[2:4]), features)

    def feature_bits(self) -> list[int]:
        """Numbers of the features that are there, ascending: the order of their table."""
        return [bit for bit in range(256) if self.features >> bit & 1]
