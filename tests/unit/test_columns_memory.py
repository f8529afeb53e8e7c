"""`Memory`: buffers are used again, and never while anybody looks at them. Both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from benchmarks.images import mixed, one_layout
from perfring.batch import Reason
from perfring.columns import ColumnBatch, ColumnOrder, ColumnTaker
from perfring.columns.image import Image
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


class _Session:
    """What a session with columns does of one image after the other."""

    def __init__(self, *, alike: bool = False) -> None:
        self.image = one_layout(1 << 18) if alike else mixed(1 << 18)
        self._taker = ColumnTaker(self.image.decoder())

    def batch(self, data: bytes) -> ColumnBatch:
        memory, refused = self._taker.memory, list[Exception]()
        block, _ = self._taker.take(Image.of(data, memory=memory), cpu=0, position=0, on_bad=refused.append)
        assert not refused
        order = ColumnOrder()
        order.pending += [] if block is None else [block]
        batch = order.batch(order.release(), Reason.WAKEUP)
        assert isinstance(batch, ColumnBatch)
        return batch

    def write_over_what_is_free(self) -> None:
        memory, taken = self._taker.memory, list[bytearray]()
        for size in [len(each) for each in memory.kept]:
            taken.append(memory.take(size))
            taken[-1][:] = b"\xff" * len(taken[-1])


HELD: dict[str, Callable[[ColumnBatch], object]] = {
    "rows": lambda batch: batch.columns["sched:sched_switch"].rows,
    "a column": lambda batch: batch.columns["sched:sched_switch"]["time"],
    "call chains": lambda batch: batch.columns["cpu-clock"].ragged("callchain").values,
    "names": lambda batch: batch.columns["mmap2"].ragged("filename").values,
    "arrow": lambda batch: batch.columns["cpu-clock"].to_arrow(),
    "polars": lambda batch: batch.columns["cpu-clock"].to_polars(),
    "pandas": lambda batch: batch.columns["cpu-clock"].to_pandas(),
    "records": list,
}


@pytest.mark.parametrize("what", HELD)
def test_what_is_held_of_a_batch_stays_as_it_is(what: str) -> None:
    session = _Session()
    held = HELD[what](session.batch(session.image.data))
    before = _as_text(held)
    session.write_over_what_is_free()
    assert _as_text(held) == before


def _as_text(held: object) -> str:
    return repr(held.tolist() if isinstance(held, np.ndarray) else held)


def test_rows_that_are_views_of_the_copy_out_of_the_ring_stay_as_they_are() -> None:
    session = _Session(alike=True)
    (table,) = session.batch(session.image.data).columns.values()
    times = table.array("time")
    before = times.tolist()
    del table
    session.write_over_what_is_free()
    assert times.tolist() == before


def test_a_batch_that_is_gone_costs_no_memory_again() -> None:
    session = _Session()
    for _ in range(3):
        session.batch(session.image.data)
    kept = [id(each) for each in session._taker.memory.kept]
    for _ in range(5):
        session.batch(session.image.data)
    assert [id(each) for each in session._taker.memory.kept] == kept
