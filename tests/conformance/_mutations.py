"""Damage to a stream of records, that knows what records are made of.

A mutation is plain data, so that Hypothesis can make it small and a failure prints it. Which record it strikes is a
number modulo how many there are.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from hypothesis import strategies as st

from simkernel.contract.raw import HEADER

__all__ = ["MUTATIONS", "Kind", "Mutation", "mutated", "split"]

U64: Final = (1 << 64) - 1


class Kind(StrEnum):
    """What is done to a record, or to the stream around it."""

    SWAP = "swap"  # with the one that follows: time goes back
    DROP = "drop"  # the record is missing
    REPEAT = "repeat"
    CUT = "cut"  # so many bytes are missing inside it
    STUFF = "stuff"  # so many bytes too many inside it
    SIZE = "size"
    RESIZE = "resize"  # the size is off by so much
    TYPE = "type"
    MISC = "misc"
    FIRST = "first"  # the u64 behind the header: the id of a sample
    LAST = "last"  # the u64 at the end: the id of all others
    WORD = "word"  # any u64: counts, times, sizes of u64, ABIs
    HALF = "half"  # any u32: the size of raw data, build ids
    FLIP = "flip"  # one bit


class Mutation(NamedTuple):
    """One piece of damage.

    Attributes:
        record: which one.
        place: where in the record.
        value: what for; each kind takes it as far as it has use for it.
    """

    kind: Kind
    record: int
    place: int
    value: int


_SIZES: Final = (*range(8), 9, 12, 20, 65528, 65535)
_NUMBERS: Final = (0, 1, 7, 8, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 61, 1 << 63, U64 - 7, U64)
_TYPES: Final = (*range(24), 64, 255, 1 << 16, (1 << 32) - 1)
_STRUCTURE: Final = frozenset({Kind.SWAP, Kind.DROP, Kind.REPEAT, Kind.CUT, Kind.STUFF})


def _values(kind: Kind) -> st.SearchStrategy[int]:
    if kind is Kind.SIZE:
        return st.sampled_from(_SIZES) | st.integers(0, 65535)
    if kind is Kind.RESIZE:
        return st.sampled_from((-64, -16, -8, -4, -1, 1, 4, 8, 16, 64))
    if kind is Kind.TYPE:
        return st.sampled_from(_TYPES)
    if kind in (Kind.CUT, Kind.STUFF):
        return st.integers(1, 64)
    return st.sampled_from(_NUMBERS) | st.integers(0, U64)


_WHERE: Final = st.integers(0, 1 << 16)
MUTATIONS: Final[st.SearchStrategy[list[Mutation]]] = st.lists(
    st.sampled_from(Kind).flatmap(lambda kind: st.builds(Mutation, st.just(kind), _WHERE, _WHERE, _values(kind))),
    min_size=1,
    max_size=4,
)
"""From one piece of damage to four."""


def split(stream: bytes) -> list[bytes]:
    """The records of a sound stream; the last one may be cut off."""
    records, offset = [], 0
    while offset < len(stream):
        size = HEADER.unpack_from(stream, offset)[2]
        assert size >= HEADER.size, f"size {size} at {offset}"
        records.append(stream[offset : offset + size])
        offset += size
    return records


def mutated(records: Sequence[bytes], mutations: Sequence[Mutation]) -> bytes:
    """The stream of these records with the damage done: what moves records first, then what changes them."""
    pieces = list(records)
    for mutation in mutations:
        if mutation.kind in _STRUCTURE and pieces:
            _restructure(pieces, mutation)
    for mutation in mutations:
        if mutation.kind not in _STRUCTURE and pieces:
            at = mutation.record % len(pieces)
            pieces[at] = _changed(pieces[at], mutation)
    return b"".join(pieces)


def _restructure(pieces: list[bytes], mutation: Mutation) -> None:
    at = mutation.record % len(pieces)
    piece = pieces[at]
    place = mutation.place % (len(piece) + 1)
    match mutation.kind:
        case Kind.SWAP:
            other = (at + 1) % len(pieces)
            pieces[at], pieces[other] = pieces[other], piece
        case Kind.DROP:
            del pieces[at]
        case Kind.REPEAT:
            pieces.insert(at, piece)
        case Kind.CUT:
            pieces[at] = piece[:place] + piece[place + mutation.value :]
        case Kind.STUFF:
            pieces[at] = (
                piece[:place] + bytes(mutation.place * at & 0xFF for at in range(mutation.value)) + piece[place:]
            )


def _changed(piece: bytes, mutation: Mutation) -> bytes:
    if len(piece) < HEADER.size:  # what CUT has left
        return piece
    changed, value, last = bytearray(piece), mutation.value, len(piece) - 8
    match mutation.kind:
        case Kind.FIRST:
            struct.pack_into("=Q", changed, min(8, last), value)
        case Kind.LAST:
            struct.pack_into("=Q", changed, last, value)
        case Kind.WORD:
            struct.pack_into("=Q", changed, 8 * (mutation.place % (len(piece) // 8)), value)
        case Kind.HALF:
            struct.pack_into("=I", changed, 4 * (mutation.place % (len(piece) // 4)), value & 0xFFFFFFFF)
        case Kind.FLIP:
            changed[mutation.place % len(piece)] ^= 1 << value % 8
        case _:
            HEADER.pack_into(changed, 0, *_changed_header(HEADER.unpack_from(piece), mutation))
    return bytes(changed)


def _changed_header(header: tuple[int, ...], mutation: Mutation) -> tuple[int, int, int]:
    kind, misc, size = header
    match mutation.kind:
        case Kind.SIZE:
            return kind, misc, mutation.value
        case Kind.RESIZE:
            return kind, misc, (size + mutation.value) & 0xFFFF
        case Kind.TYPE:
            return mutation.value, misc, size
        case _:
            return kind, mutation.value & 0xFFFF, size
