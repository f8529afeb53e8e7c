"""What becomes of the bytes of a record that is torn or corrupt: for `simkernel.faults.corrupt_records`.

A damage is given the record as it should be, header included, and the attr of the event that writes it; it returns as
many bytes. All numbers are in the byte order of this machine, as in the ring.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from perfring.abi import PERF_RECORD_SAMPLE, PERF_SAMPLE_IDENTIFIER
from simkernel._arguments import check_count
from simkernel.misuse import SimulatorError
from simkernel.ringbuf import POISON

if TYPE_CHECKING:
    from random import Random

    from perfring.abi import PerfEventAttr

__all__ = [
    "Damage",
    "flipped",
    "scrambled",
    "size_past_head",
    "size_zero",
    "torn",
    "unknown_id",
    "unknown_type",
]

Damage = Callable[[bytes, "PerfEventAttr"], bytes]

_HEADER: Final = struct.Struct("=IHH")
_LARGEST: Final = 65_528
_NO_EVENT: Final = 0xDEAD_DEAD_DEAD_DEAD
_NO_TYPE: Final = 0x7FFF_FFFF


def _header(record: bytes, *, record_type: int | None = None, size: int | None = None) -> bytes:
    """The record with another header."""
    old_type, misc, old_size = _HEADER.unpack_from(record)
    new = _HEADER.pack(old_type if record_type is None else record_type, misc, old_size if size is None else size)
    return new + record[_HEADER.size :]


def size_zero(record: bytes, _: PerfEventAttr) -> bytes:
    """The header says 0 bytes: a reader that trusts it never gets on."""
    return _header(record, size=0)


def size_past_head(record: bytes, _: PerfEventAttr) -> bytes:
    """The header says 65528 bytes: in all but the largest rings this is past the head."""
    return _header(record, size=_LARGEST)


def unknown_type(record: bytes, _: PerfEventAttr) -> bytes:
    """A type that no kernel has: to be skipped by its size."""
    return _header(record, record_type=_NO_TYPE)


def unknown_id(record: bytes, attr: PerfEventAttr) -> bytes:
    """The id of an event that there is not (K35).

    Raises:
        SimulatorError: without PERF_SAMPLE_IDENTIFIER the id has no fixed place.
    """
    if not attr.sample_type & PERF_SAMPLE_IDENTIFIER:
        raise SimulatorError("unknown_id needs an event with PERF_SAMPLE_IDENTIFIER: only then is the id's place fixed")
    sample = _HEADER.unpack_from(record)[0] == PERF_RECORD_SAMPLE
    place = _HEADER.size if sample else len(record) - 8
    return record[:place] + struct.pack("=Q", _NO_EVENT) + record[place + 8 :]


def torn(record: bytes, _: PerfEventAttr) -> bytes:
    """Only the first half was written; behind it lies what the simulator makes of freed bytes."""
    kept = len(record) // 16 * 8
    return record[:kept] + bytes((POISON,)) * (len(record) - kept)


def flipped(*bits: int) -> Damage:
    """These bits are the other way round: bit 0 is the lowest of the first byte. Beyond the record they are none.

    Raises:
        TypeError, ValueError: a bit that is no whole number, or below 0.
    """
    if not bits:
        raise ValueError("flipped() has no bits: it would change nothing")
    mask = 0
    for bit in bits:
        mask ^= 1 << check_count("bit", bit)
    return lambda record, _: _xor(record, mask)


def scrambled(random: Random, *, bits: int = 3) -> Damage:
    """So many bits anywhere in the record are the other way round.

    Args:
        random: decides which: ``kernel.machine.rng`` follows the kernel's seed.
        bits: how many different ones; all of a record that has no more.

    Raises:
        TypeError, ValueError: ``bits`` is not a whole number from 1 on.
    """
    check_count("bits", bits, least=1)

    def scramble(record: bytes, _: PerfEventAttr) -> bytes:
        length = 8 * len(record)
        return _xor(record, sum(1 << bit for bit in random.sample(range(length), min(bits, length))))

    return scramble


def _xor(record: bytes, mask: int) -> bytes:
    mask &= (1 << 8 * len(record)) - 1
    return (int.from_bytes(record, "little") ^ mask).to_bytes(len(record), "little")
