"""Numbers and sentences of the pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfring.picture.words import banner, counted, duration, key_numbers, percentile, ring_title, short_size, status
from perfring.timeline import Wake
from tests.unit.timelines import Story, healthy, late, stalled


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0 ns"), (999, "999 ns"), (1_000, "1 µs"), (1_234_567, "1.235 ms"), (61_000_000_000, "61 s")],
)
def test_duration_has_a_unit(ns: int, text: str) -> None:
    assert duration(ns) == text


@pytest.mark.parametrize(("count", "text"), [(1, "1 record"), (0, "0 records"), (2000, "2,000 records")])
def test_counted_agrees_with_its_number(count: int, text: str) -> None:
    assert counted(count, "record") == text


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (512, "512 B"), (4096, "4 KiB"), (3 << 19, "1.5 MiB")])
def test_short_size_takes_the_largest_unit(count: int, text: str) -> None:
    assert short_size(count) == text


@pytest.mark.parametrize(("per_cent", "value"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_percentile_is_one_of_the_values(per_cent: float, value: int) -> None:
    assert percentile(range(1, 101), per_cent) == value


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7], 99) == 7


def test_a_ring_without_a_cpu_is_a_tasks() -> None:
    assert ring_title(Story(2048).ring(cpu=-1)) == "The task's ring: 4,096 bytes, watermark 2,048"
    assert ring_title(Story(2048).ring(cpu=3)).startswith("CPU 3: ")


def test_status_of_each_ending() -> None:
    assert [status(run) for run in (healthy(), late(), stalled())] == ["nothing lost", "93 records lost", "stalled"]


def test_trouble_is_said_although_nothing_is_lost() -> None:
    assert status(replace(healthy(), trouble="watermark defeated")) == "watermark defeated"


def test_banner_tells_when_and_why_nobody_wakes() -> None:
    assert banner(stalled(watermark=4088).rings[0]) == (
        "From 740 µs on nobody wakes the reader. It was never woken. 4,088 bytes of 4,096 wait in the ring, and 127 "
        "records found no room. The next wake needs more than 4,088 bytes in it (watermark 4,088)."
    )


def test_banner_names_the_last_wake() -> None:
    ring = replace(stalled().rings[0], wakes=(Wake(5_000), Wake(6_000)))
    assert "The last of 2 wakes was at 6 µs." in banner(ring)
    assert "The only wake was at 5 µs." in banner(replace(ring, wakes=ring.wakes[:1]))


def test_banner_of_a_kernel_that_hides_the_cursor_guesses_nothing() -> None:
    ring = stalled().rings[0]
    hidden = replace(ring, fills=tuple(fill._replace(wakeup=None) for fill in ring.fills))
    assert banner(hidden).endswith("127 records found no room.")


def test_a_healthy_ring_has_no_banner() -> None:
    assert banner(healthy().rings[0]) == ""


def test_key_numbers_count_what_happened() -> None:
    numbers = key_numbers(late().rings[0])
    assert numbers["Wakes"] == "10, 2 of them spurious"
    assert numbers["Drains"] == "4: 292 records, 16,352 bytes"
    assert numbers["Records lost"] == "93, the first at 740 µs"
    assert numbers["Fullest"] == "4,088 bytes"
    assert numbers["Latency p50, p99, longest"] == "600 µs, 960 µs, 970 µs"
