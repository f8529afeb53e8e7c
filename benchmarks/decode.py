"""Decoding: the same image by every reader in turn, per record, and as a ratio to the C loop."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple, TypeAlias

from benchmarks.creader import CReader, LibbpfReader
from benchmarks.images import Image, mixed, one_layout
from benchmarks.measuring import Figure, Outcome, Run, Skipped, UnavailableError, figure, in_turns, ratio, timed
from benchmarks.plainreader import plain_loop
from perfring.batch import Batch, Reason
from perfring.columns import ColumnOrder, ColumnTaker
from perfring.columns.image import Image as ColumnImage
from perfring.engine import is_built, using
from perfring.errors import BadRecord
from perfring.plan import DEFAULT_DRAIN_BUDGET

IMAGE_BYTES = 1 << 20
"""Fits the second-level cache, as a ring does that the kernel has just written."""
SHORT_BYTES = 1 << 14
SECONDS_PER_TURN = 0.05

Reading: TypeAlias = Callable[[int], int]
"""Reads the image so many times, and returns the records of all passes."""
Preparing: TypeAlias = Callable[[Image, ExitStack], Reading]
"""Makes a contender ready for an image; what it has to close again goes onto the stack."""


class Limit(NamedTuple):
    """What a contender is held to.

    Attributes:
        image: on which image.
        base: against which contender.
        at_most: its time, in times that of the base.
    """

    image: str
    base: str
    at_most: float


class Contender(NamedTuple):
    """One way to read an image."""

    name: str
    prepare: Preparing
    limits: tuple[Limit, ...] = ()


def repeated(once: Callable[[], int]) -> Reading:
    """Makes a reading of what reads the image once, and returns how many records that were."""
    return lambda passes: sum(once() for _ in range(passes))


def _c_loop(image: Image, _: ExitStack) -> Reading:
    reader = CReader()
    return lambda passes: reader.add_up(image.data, passes)


def _libbpf(image: Image, stack: ExitStack) -> Reading:
    return stack.enter_context(LibbpfReader(image.data)).read


def _plain(image: Image, _: ExitStack) -> Reading:
    loop = plain_loop(image)
    return repeated(lambda: len(loop(image.data)))


class _Sample(ctypes.Structure):
    """What a user of BCC declares; the first words are the same in every layout of our images."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("misc", ctypes.c_uint16),
        ("size", ctypes.c_uint16),
        ("id", ctypes.c_uint64),
    )


def _ctypes_callback(image: Image, _: ExitStack) -> Reading:
    reader, pointer, total = CReader(), ctypes.POINTER(_Sample), 0

    def on_record(_context: int | None, record: int, _size: int) -> None:
        nonlocal total
        total += ctypes.cast(record, pointer).contents.id

    return lambda passes: reader.call(image.data, on_record, passes)


def _records(image: Image, _: ExitStack) -> Reading:
    """In pieces of a session's drain budget, each copied out of the image as out of a ring."""
    decoder, whole = image.decoder(), memoryview(image.data)

    def once() -> int:
        offset = count = 0
        while offset < len(whole):
            piece = bytes(whole[offset : offset + DEFAULT_DRAIN_BUDGET])
            records, consumed = decoder.decode_run(piece, cpu=0, position=offset, on_bad=_refuse)
            offset += consumed
            count += len(records)
        return count

    return repeated(once)


def _columns(name: str) -> Preparing:
    """All columns of each batch, as a session makes them of what it copies out of a ring in one piece."""

    def prepare(image: Image, _: ExitStack) -> Reading:
        if name == "compiled" and not is_built():
            raise UnavailableError("perfring was installed without its compiled engine")
        taker = ColumnTaker(image.decoder())
        copied = ColumnImage.of(image.data, memory=taker.memory)
        parts = [
            (kind, part)
            for kind, columns in _batch(taker, copied).columns.items()
            for part in sorted(_PARTS & set(columns.names))
        ]

        def read(passes: int) -> int:
            with using(name):
                return sum(_take_columns(taker, copied, parts) for _ in range(passes))

        return read

    return prepare


def _take_columns(taker: ColumnTaker, image: ColumnImage, parts: Sequence[tuple[str, str]]) -> int:
    """The tables of all kinds, and what has a length of its own: names and call chains."""
    batch = _batch(taker, image)
    tables = batch.columns
    for columns in tables.values():
        _ = columns.rows
    for kind, part in parts:
        _ = tables[kind][part]
    return len(batch)


def _batch(taker: ColumnTaker, image: ColumnImage) -> Batch:
    block, _ = taker.take(image, cpu=0, position=0, on_bad=_refuse, final=True)
    order = ColumnOrder()
    order.pending += [] if block is None else [block]
    return order.batch(order.release(), Reason.WAKEUP)


def _refuse(error: BadRecord) -> None:
    raise AssertionError(f"an image of the benchmarks does not decode: {error}")


_PARTS = {"callchain", "comm", "filename"}
C_LOOP = "C loop, a callback per record"
PLAIN = "plain Python struct loop"
CONTENDERS = (
    Contender(C_LOOP, _c_loop),
    Contender("libbpf's reader", _libbpf),
    Contender(
        "perfring columns, compiled",
        _columns("compiled"),
        (Limit("one layout", C_LOOP, 2.0), Limit("mixed", C_LOOP, 3.0)),
    ),
    Contender(
        "perfring columns, Python",
        _columns("python"),
        (Limit("one layout", C_LOOP, 5.0), Limit("mixed", PLAIN, 1 / 1.5)),
    ),
    Contender("perfring records", _records),
    Contender(PLAIN, _plain),
    Contender("ctypes callback per record", _ctypes_callback),
)


def figures(run: Run, contenders: Sequence[Contender] = CONTENDERS) -> Iterator[Outcome]:
    """Each contender on each image."""
    size = SHORT_BYTES if run.short else IMAGE_BYTES
    for image in (one_layout(size), mixed(size)):
        run.say(f"decode: {image.name}, {image.records} records")
        yield from _compare(image, run, contenders)


def _compare(image: Image, run: Run, contenders: Sequence[Contender]) -> Iterator[Outcome]:
    with ExitStack() as stack:
        readings: dict[str, Reading] = {}
        for contender in contenders:
            try:
                readings[contender.name] = contender.prepare(image, stack)
            except UnavailableError as missing:
                yield Skipped(f"{image.name}: {contender.name}", str(missing))
        costs = per_record_ns(image, readings, run)
    for name, values in costs.items():
        yield figure(f"{image.name}: {name}", values, "ns")
    yield from _ratios(image, contenders, costs)


def _ratios(image: Image, contenders: Sequence[Contender], costs: dict[str, list[float]]) -> Iterator[Figure]:
    for contender in contenders:
        bases = {limit.base: limit.at_most for limit in contender.limits if limit.image == image.name}
        for base in dict.fromkeys((C_LOOP, *bases)):
            if contender.name != base and contender.name in costs and base in costs:
                name = f"{image.name}: {contender.name} / {base}"
                yield ratio(name, costs[contender.name], costs[base], at_most=bases.get(base))


def per_record_ns(image: Image, readings: dict[str, Reading], run: Run) -> dict[str, list[float]]:
    """Nanoseconds for a record of each contender, round by round, taking turns.

    Raises:
        AssertionError: one of them did not read every record.
    """
    turns = [_turn(name, reading, image, run) for name, reading in readings.items()]
    taken = in_turns(1 if run.short else run.rounds, *(turn for turn, _ in turns))
    return {
        name: [seconds / passes / image.records * 1e9 for seconds in rounds]
        for name, (_, passes), rounds in zip(readings, turns, taken, strict=True)
    }


def _turn(name: str, reading: Reading, image: Image, run: Run) -> tuple[Callable[[], None], int]:
    """A turn of one contender, and its passes: as many as take long enough to be measured."""
    reading(1)
    passes = 1 if run.short else max(1, round(SECONDS_PER_TURN / max(timed(lambda: reading(1)), 1e-6)))

    def turn() -> None:
        read = reading(passes)
        if read != passes * image.records:
            raise AssertionError(f"{name} read {read} records in {passes} passes over {image.records}")

    return turn, passes
