"""Recorded traffic, played again: sizes, times and CPUs are those of the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfring.builder import SessionBuilder
from perfring.errors import PerfDataError
from perfring.events import BpfOutputEvents
from perfring.perfdata import read_traffic
from perfring.records import Record
from simkernel.simulate import Scenario, ScenarioError, recorded, run, with_settings
from simkernel.tasks import Spend
from simkernel.workload import replay
from tests.unit import perfdata_encoder as encode
from tests.unit._simulated import machine
from tests.unit.encoder import PLAIN, Form, record, u32, u64
from tests.unit.perfdata_encoder import FINISHED_ROUND, a_comm, a_sample, attr, file, saved

RAW = Form(sample_type=PLAIN.sample_type | 1 << 10)
INDEX = encode.id_index([(7, 0, 1), (8, 2, 1)])
LOST = record(2, u64(7) + u64(30) + u32(1) + u32(1) + u64(1_500) + u64(7))
EVENTS = [(attr(RAW), (7, 8)), (attr(RAW), (9,))]


def sampled(time: int, size: int, *, event: int = 7) -> bytes:
    """A sample of so many bytes."""
    made = a_sample(time, event=event, form=RAW, raw=bytes(size - 36))
    assert len(made) == size
    return made


def traffic_file(folder: Path, *records: bytes) -> str:
    return saved(folder, file(INDEX + b"".join(records), events=EVENTS))


def played(path: str) -> list[Record]:
    """What a session reads of the recording that is played into a simulated kernel."""
    traffic, kernel = read_traffic(path), machine(cpus=3)
    for cpu in traffic.cpus:
        kernel.spawn(replay(traffic.payloads(cpu), start=traffic.start, between=Spend), cpu=cpu)
    with SessionBuilder().with_bpf_output_events(BpfOutputEvents()).build(kernel) as session:
        session.attach_to_bpf_map(path=kernel.bpf_map_path)
        session.enable()
        kernel.sleep(0.1)
        return list(session.records(duration=0.001))


def test_traffic_has_times_and_sizes_by_cpu(tmp_path: Path) -> None:
    path = traffic_file(tmp_path, sampled(1000, 64), sampled(2000, 104, event=8), sampled(3000, 40))
    traffic = read_traffic(path)
    assert (traffic.cpus, traffic.start, traffic.end, len(traffic)) == ((0, 2), 1000, 3000, 3)
    assert (list(traffic.on(0)), list(traffic.on(2))) == ([(1000, 64), (3000, 40)], [(2000, 104)])


def test_losses_and_what_perf_made_are_no_traffic(tmp_path: Path) -> None:
    made = a_comm("old", 0, event=0, form=RAW)
    traffic = read_traffic(traffic_file(tmp_path, made, sampled(1000, 64), LOST, FINISHED_ROUND))
    assert (len(traffic), traffic.lost) == (1, 30)


def test_a_session_gets_the_sizes_and_distances_of_the_recording(tmp_path: Path) -> None:
    path = traffic_file(tmp_path, sampled(5_000, 64), sampled(7_000, 1000, event=8), sampled(405_000, 40))
    records = played(path)
    assert [(each.cpu, each.size) for each in records] == [(0, 64), (2, 1000), (0, 40)]
    first = records[0].time or 0
    assert [(each.time or 0) - first for each in records] == [0, 2_000, 400_000]


def test_what_is_smaller_than_bpf_output_can_be_is_counted_and_played_as_the_smallest(tmp_path: Path) -> None:
    path = saved(tmp_path, file(a_sample(5) + a_sample(6)))
    traffic = read_traffic(path)
    assert (traffic.reshaped, traffic.unplaced) == (2, 2)
    assert [each.size for each in played(path)] == [40, 40]


def test_a_file_without_a_time_cannot_be_played(tmp_path: Path) -> None:
    with pytest.raises(PerfDataError, match="nothing to play"):
        read_traffic(saved(tmp_path, file(FINISHED_ROUND)))


def steady(folder: Path, count: int = 400, *, apart: int = 1_000_000, size: int = 64) -> str:
    return traffic_file(folder, *(sampled(1000 + number * apart, size) for number in range(count)))


def test_a_scenario_has_what_the_recording_was_like(tmp_path: Path) -> None:
    scenario = recorded(steady(tmp_path))
    assert (scenario.cpus, scenario.pages, scenario.event, scenario.pattern) == (1, 128, "bpf", "recorded")
    assert scenario.duration == pytest.approx(0.4)
    assert scenario.rate == pytest.approx(1000)


def test_each_record_of_the_recording_is_produced_once(tmp_path: Path) -> None:
    result = run(with_settings(recorded(steady(tmp_path)), {"pages": 1, "watermark": 1024})).result
    assert (result.produced, result.lost, result.record_bytes) == (400, 0, (64, 64))
    assert result.delivered + result.left == 400


@pytest.mark.parametrize(("delay", "loses"), [(0.01, False), (0.06, True)])
def test_a_reader_that_comes_too_late_would_have_lost_it(tmp_path: Path, delay: float, loses: bool) -> None:
    settings = {"pages": 1, "watermark": 2048, "delay": delay}
    assert bool(run(with_settings(recorded(steady(tmp_path)), settings)).result.lost) is loses


def test_what_cannot_be_played_is_said(tmp_path: Path) -> None:
    about = recorded(traffic_file(tmp_path, sampled(1000, 64), LOST, a_sample(9000, event=7))).about
    assert "30 were lost then" in about
    assert "1 make no sense" in about


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = steady(tmp_path, 3)
    assert recorded(path).about.startswith("3 records")
    steady(tmp_path, 5)
    os.utime(path, ns=(1, 1))
    assert recorded(path).about.startswith("5 records")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"recording": "x"}, "recording is 'x'"),
        ({"pattern": "recorded", "event": "bpf"}, "recording is None"),
        ({"pattern": "recorded", "recording": "x"}, "event is 'getppid'"),
        ({"pattern": "recorded", "recording": "x", "event": "bpf", "payload": 8}, "payload is 8"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ScenarioError, match=named):
        Scenario(**settings)  # type: ignore[arg-type]


def test_a_scenario_of_fewer_cpus_than_the_recording_is_refused(tmp_path: Path) -> None:
    scenario = recorded(traffic_file(tmp_path, sampled(1000, 64, event=8)))
    assert scenario.cpus == 3
    with pytest.raises(ScenarioError, match="cpus is 2"):
        run(with_settings(scenario, {"cpus": 2}))


def test_a_recording_that_begins_at_zero_is_played(tmp_path: Path) -> None:
    path = traffic_file(tmp_path, sampled(0, 64), sampled(3, 64))
    assert read_traffic(path).start == 0
    assert len([record for record in played(path) if record.size == 64]) == 2
