"""The images of the benchmarks are what a session finds in its rings, and every contender reads all of them."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from benchmarks import decode
from benchmarks.fedkernel import Feed
from benchmarks.images import Image, mixed, one_layout
from benchmarks.measuring import UnavailableError
from benchmarks.plainreader import plain_loop
from benchmarks.scaling import read_records
from perfring import Record, Sample
from simkernel import SimKernel
from tests.session_rig import GETPPID, watching

IMAGES = (one_layout(1 << 14), mixed(1 << 16))


def _decoded(image: Image) -> list[Record]:
    bad: list[Exception] = []
    records, consumed = image.decoder().decode_run(image.data, cpu=0, position=0, on_bad=bad.append, final=True)
    assert (bad, consumed) == ([], len(image.data))
    return records


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_decodes_into_as_many_records_as_it_says(image: Image) -> None:
    kinds = Counter(record.kind for record in _decoded(image))
    assert (kinds.total(), kinds["sample"]) == (image.records, image.samples)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_the_plain_loop_finds_the_same_records(image: Image) -> None:
    assert len(plain_loop(image)(image.data)) == image.records


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_is_in_time_order(image: Image) -> None:
    times = [record.time for record in _decoded(image) if record.time is not None]
    assert times == sorted(times)
    assert len(times) == image.records


def test_the_mixed_image_has_four_layouts_and_every_twentieth_record_is_side_band() -> None:
    image = mixed(1 << 18)
    records = _decoded(image)
    sampled = {record.event for record in records if record.kind == "sample"}
    assert sampled == {GETPPID, "sched:sched_switch", "minor-faults", "cpu-clock"}
    side_band = {record.kind for record in records} - {"sample"}
    assert side_band == {"comm", "mmap2", "fork", "exit", "lost", "switch"}
    assert 0.03 < 1 - image.samples / image.records < 0.07


def test_the_same_seed_makes_the_same_image_and_another_one_another() -> None:
    assert mixed(4096, seed=1).data == mixed(4096, seed=1).data != mixed(4096, seed=2).data


def test_a_getppid_sample_is_what_a_session_finds(sim_kernel: SimKernel) -> None:
    actor = sim_kernel.actor(cpu=0)
    with watching(actor).build(sim_kernel) as session:
        session.enable()
        actor.getppid()
        (found,) = session.next_batch(timeout=0)
    (made,) = _decoded(one_layout(56))
    assert (made.size, made.misc, made.details()) == (found.size, found.misc, found.details())
    assert isinstance(made, Sample)
    assert isinstance(found, Sample)
    assert _without_pid(made.raw) == _without_pid(found.raw)


def _without_pid(raw: bytes | None) -> bytes:
    """The raw data of a tracepoint but for its third common field."""
    return b"" if raw is None else raw[:4] + raw[8:]


@pytest.mark.parametrize("contender", decode.CONTENDERS, ids=lambda contender: contender.name)
@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_each_contender_reads_every_record_in_every_pass(contender: decode.Contender, image: Image) -> None:
    with ExitStack() as stack:
        try:
            read = contender.prepare(image, stack)
        except UnavailableError as missing:
            pytest.skip(str(missing))
        assert read(3) == 3 * image.records


@pytest.mark.parametrize("cpus", [1, 3])
def test_a_fed_session_reads_all_in_time_order_again_and_again(cpus: int) -> None:
    feed = Feed(cpus, pages=1)
    with feed.session as session:
        for _ in range(5):  # past the end of the ring, where records wrap
            feed.fill()
            assert read_records(session) == feed.records
        counts = session.statistics()
    assert (counts.bytes, counts.late, counts.bad_records) == (5 * feed.bytes, 0, 0)


def test_a_ring_that_is_not_read_takes_no_more() -> None:
    feed = Feed(1, pages=1)
    with feed.session:
        feed.fill()
        with pytest.raises(ValueError, match="free"):
            feed.fill()
