from __future__ import annotations

import pytest

from perfring.ring import BackwardRing, RingOverrun, RingReader
from tests.unit.rings import POISON, U64, BytesRing

EDGES = (0, 2**32 - 16, 2**64 - 16)


@pytest.mark.parametrize("start", EDGES)
def test_a_full_read_returns_what_was_written(start: int) -> None:
    ring = BytesRing(64, start=start)
    ring.write(b"abcdefgh" * 3)
    reader = RingReader(ring)
    assert reader.copy(reader.unread(reader.head())) == b"abcdefgh" * 3


@pytest.mark.parametrize("start", EDGES)
def test_a_record_that_wraps_is_copied_in_one_piece(start: int) -> None:
    ring = BytesRing(32, start=start)
    reader = RingReader(ring)
    ring.write(b"x" * 24)
    reader.free(24)
    ring.write(b"0123456789abcdef")
    assert reader.copy(16) == b"0123456789abcdef"


def test_what_ends_where_the_ring_ends_is_one_piece() -> None:
    ring = BytesRing(16)
    ring.write(b"0123456789abcdef")
    assert [bytes(piece) for piece in RingReader(ring).pieces(16)] == [b"0123456789abcdef"]


@pytest.mark.parametrize("start", EDGES)
def test_freeing_stores_the_tail_modulo_two_to_the_64(start: int) -> None:
    ring = BytesRing(64, start=start)
    reader = RingReader(ring)
    ring.write(bytes(48))
    reader.free(40)
    assert ring.tail == (start + 40) & U64


def test_a_ring_of_16_bytes_can_be_read() -> None:
    ring = BytesRing(16)
    ring.write(b"8 bytes!")
    assert RingReader(ring).copy(8) == b"8 bytes!"


def test_a_copy_stays_when_its_space_is_freed() -> None:
    ring = BytesRing(16)
    ring.write(b"8 bytes!")
    reader = RingReader(ring)
    copied = reader.copy(8)
    reader.free(8)
    assert (copied, ring.memory[0]) == (b"8 bytes!", POISON)


def test_a_second_reader_begins_at_the_stored_tail() -> None:
    ring = BytesRing(64, start=2**40)
    ring.write(bytes(16))
    RingReader(ring).free(16)
    assert RingReader(ring).tail == 2**40 + 16


@pytest.mark.parametrize("distance", [65, 2**32, 2**64 - 8])
def test_head_further_than_the_ring_is_an_overrun(distance: int) -> None:
    ring = BytesRing(64, start=8)
    ring.head = (8 + distance) & U64
    reader = RingReader(ring)
    with pytest.raises(RingOverrun, match=f"{distance} bytes past tail in a ring of 64") as caught:
        reader.unread(reader.head())
    assert (caught.value.position, reader.tail) == (8, 8)


def test_a_full_ring_is_no_overrun() -> None:
    ring = BytesRing(64)
    ring.head = 64
    assert RingReader(ring).unread(64) == 64


@pytest.mark.parametrize("size", [0, 24, 4097])
@pytest.mark.parametrize("cls", [RingReader, BackwardRing])
def test_a_data_area_that_is_no_power_of_two_is_refused(cls: type[RingReader] | type[BackwardRing], size: int) -> None:
    with pytest.raises(ValueError, match=f"has {size} bytes"):
        cls(BytesRing(size))


def write_backward(ring: BytesRing, record: bytes) -> None:
    ring.head = (ring.head - len(record)) & U64
    for offset, byte in enumerate(record):
        ring.memory[(ring.head + offset) % len(ring.memory)] = byte


def test_a_backward_ring_gives_the_newest_first() -> None:
    ring = BytesRing(64)
    for record in (b"oldest..", b"middle..", b"newest.."):
        write_backward(ring, record)
    assert BackwardRing(ring).copy(ring.head) == b"newest..middle..oldest.."


def test_a_backward_ring_never_shows_what_was_not_written() -> None:
    ring = BytesRing(64)
    assert BackwardRing(ring).copy(ring.head) == b""


def test_a_lapped_backward_ring_ends_in_what_is_left_of_the_oldest() -> None:
    ring = BytesRing(32)
    for letter in b"abc":
        write_backward(ring, bytes([letter]) * 16)
    write_backward(ring, b"d" * 8)
    assert BackwardRing(ring).copy(ring.head) == b"d" * 8 + b"c" * 16 + b"b" * 8


def test_what_is_published_is_known_to_be() -> None:
    reader = RingReader(BytesRing(64))
    reader.tail = 8
    assert reader.published == 0
    reader.publish()
    assert reader.published == 8
