"""What a guest sends arrives as it was sent, or not at all."""

from __future__ import annotations

import pytest

from ci.guest.frames import BadFrame, Frame, FrameReader, encode

STREAM = encode("hello", b"{}") + encode("checks/log", bytes(range(256)) * 40)
FRAMES = [Frame("hello", b"{}"), Frame("checks/log", bytes(range(256)) * 40)]


@pytest.mark.parametrize("size", [1, 7, 64, len(STREAM)])
def test_frames_arrive_in_pieces_of_any_size(size: int) -> None:
    reader = FrameReader()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == FRAMES
    assert not reader.pending


def test_half_a_frame_is_none() -> None:
    reader = FrameReader()
    assert list(reader.feed(STREAM[:-1])) == FRAMES[:1]
    assert reader.pending


@pytest.mark.parametrize("garbage", [b"Segmentation fault\n", b"%PERFRING hello -1 00\n", b"\xff" * 400])
def test_what_is_no_frame_is_refused(garbage: bytes) -> None:
    reader = FrameReader()
    with pytest.raises(BadFrame, match="no frame begins with"):
        list(reader.feed(encode("hello", b"") + garbage))


def test_a_damaged_frame_is_refused() -> None:
    damaged = STREAM[:-1] + bytes([STREAM[-1] ^ 1])
    with pytest.raises(BadFrame, match=r"'checks/log' of .* bytes arrived damaged"):
        list(FrameReader().feed(damaged))


@pytest.mark.parametrize("name", ["", "two words", "line\n", "x" * 201])
def test_a_name_that_would_break_the_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a frame cannot be named"):
        encode(name, b"")
