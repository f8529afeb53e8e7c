"""`perfring.verify` on a kernel of a few lines: it must agree with a right one and catch a wrong one."""

from __future__ import annotations

import errno
import operator

import pytest

from perfring.geometry import Outcome
from perfring.verify import (
    SHAPES,
    SWEEP,
    Shape,
    SilentProducer,
    measure,
    record_bytes_of,
    sweep,
    watermarks_around,
    woke_after_loss_bytes,
)
from tests.unit._rings import RenameKernel

COMM_56 = Shape(3, "a long name")


def test_a_sweep_of_a_kernel_that_keeps_the_rule_agrees() -> None:
    rows = list(sweep(RenameKernel().arm(), after_loss=True))
    assert {row.after_loss for row in rows} == {False, True}
    assert not [row for row in rows if not row.agrees]


def test_a_sweep_covers_every_outcome_and_every_ring() -> None:
    rows = list(sweep(RenameKernel().arm()))
    assert {row.predicted for row in rows} == set(Outcome)
    assert {row.pages for row in rows} == set(SWEEP)


def test_shapes_give_all_sizes_from_24_to_80() -> None:
    arm = RenameKernel().arm()
    assert [record_bytes_of(arm, shape) for shape in SHAPES] == list(range(24, 88, 8))


def test_a_kernel_that_wakes_at_the_watermark_is_caught() -> None:
    row = measure(RenameKernel(crosses=operator.ge).arm(), 1, 4088, COMM_56)
    assert (row.predicted, row.predicted_woke_at, row.woke_at) == (Outcome.STALLS, None, 4088)
    assert not row.agrees


def test_a_kernel_whose_refusals_signal_is_caught() -> None:
    row = measure(RenameKernel(drops_signal=True).arm(), 1, 4096, COMM_56)
    assert (row.predicted_woke_at, row.woke_at) == (None, 4088)


def test_watermark_of_zero_is_measured_as_half_a_ring() -> None:
    row = measure(RenameKernel().arm(), 1, 0, COMM_56)
    assert (row.watermark, row.predicted_woke_at, row.woke_at) == (0, 2072, 2072)


def test_wake_after_a_loss_is_measured_behind_the_drain() -> None:
    row = measure(RenameKernel().arm(), 1, 2048, COMM_56, after_loss=True)
    assert row.woke_at is not None
    assert row.woke_at > 4088
    assert row.agrees


@pytest.mark.parametrize(("watermark", "woke_at"), [(4087, None), (4072, None), (4071, 8144), (4057, 8144)])
def test_wake_after_a_loss_of_56_byte_records_with_a_bare_lost(watermark: int, woke_at: int | None) -> None:
    assert woke_after_loss_bytes(watermark, 4096, 56, 24) == woke_at


def test_records_larger_than_the_ring_never_wake_after_a_loss() -> None:
    assert woke_after_loss_bytes(1, 64, 72, 24) is None


def test_watermarks_hold_both_sides_of_every_edge() -> None:
    chosen = watermarks_around(4096, 56, 24)
    assert {0, 1, 2048, 4015, 4016, 4031, 4032, 4079, 4080, 4087, 4088, 4095, 4096, 4097, 8192} <= set(chosen)
    assert list(chosen) == sorted(set(chosen))


def test_watermarks_of_a_tiny_ring_are_not_negative() -> None:
    assert min(watermarks_around(64, 56, 72)) == 0


def test_a_kernel_that_writes_nothing_is_named() -> None:
    class Mute(RenameKernel):
        def rename(self, comm: str) -> None:
            """Says nothing."""

    with pytest.raises(SilentProducer, match="mute: a rename of task 4711"):
        record_bytes_of(Mute().arm("mute"), COMM_56)


def test_nothing_is_left_open_when_the_producer_fails() -> None:
    class Failing(RenameKernel):
        def rename(self, comm: str) -> None:
            raise OSError(errno.EIO, "the task has gone")

    kernel = Failing()
    with pytest.raises(OSError, match="the task has gone"):
        measure(kernel.arm(), 1, 64, COMM_56)
    assert not kernel.rings
