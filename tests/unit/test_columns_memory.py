"""`Memory`: buffers are used again, and never while anybody looks at them. Both engines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from perfring.columns.memory import LEAST_POOLED, Memory
from perfring.engine import ENGINES, is_built, using

SIZE = 3 * LEAST_POOLED


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "compiled" and not is_built():
        pytest.skip("this perfring was installed without its compiled engine")
    with using(request.param):
        yield request.param


def test_a_buffer_that_nobody_holds_is_taken_again() -> None:
    memory = Memory()
    first = id(memory.take(SIZE))
    assert id(memory.take(SIZE)) == first
    assert len(memory.kept) == 1


def test_a_buffer_that_somebody_holds_is_not_taken() -> None:
    memory = Memory()
    held = memory.take(SIZE)
    assert memory.take(SIZE) is not held


@pytest.mark.parametrize(
    "look",
    [
        memoryview,
        lambda buffer: np.frombuffer(buffer, np.uint8),
        lambda buffer: np.frombuffer(buffer, np.uint64, 7, 8)[2:4],
        lambda buffer: np.frombuffer(buffer, np.dtype([("a", "=u4"), ("b", "=u4")]))["b"][::2],
        lambda buffer: [memoryview(buffer)[:1]],
    ],
    ids=["memoryview", "array", "slice", "field", "in a list"],
)
def test_a_view_holds_its_buffer(look: object) -> None:
    memory = Memory()
    assert callable(look)
    view = look(memory.take(SIZE))
    other = id(memory.take(SIZE))
    assert len(memory.kept) == 2
    del view
    assert id(memory.take(SIZE)) in (id(memory.kept[0]), other)
    assert len(memory.kept) == 2


def test_the_smallest_that_is_large_enough_is_taken() -> None:
    memory = Memory()
    made = [memory.take(size) for size in (SIZE * 3, SIZE * 2, SIZE)]
    wanted = id(made[1])
    made.clear()
    assert id(memory.take(SIZE + 1)) == wanted


def test_a_much_larger_one_is_left_for_larger_needs() -> None:
    memory = Memory()
    memory.take(SIZE * 4)
    assert len(memory.take(SIZE)) < SIZE * 4


@pytest.mark.parametrize("size", [0, 1, LEAST_POOLED - 1])
def test_small_buffers_are_not_kept(size: int) -> None:
    memory = Memory()
    assert len(memory.take(size)) >= size
    assert memory.kept == []


def test_the_oldest_are_let_go_when_there_are_too_many() -> None:
    memory = Memory()
    made = [memory.take(1 << 24) for _ in range(3)]
    memory.trim()
    assert [id(each) for each in memory.kept] == [id(each) for each in made[1:]]


def test_a_size_below_zero_is_no_size() -> None:
    with pytest.raises(ValueError, match=r"size is -1|negative count"):
        Memory().take(-1)
