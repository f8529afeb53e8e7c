"""perf.data files: what was written is read, and no bytes whatever make the reader fail otherwise than by its error."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring.errors import PerfDataError
from perfring.perfdata import FileEvent, FileFeatures, PerfDataFile, PerfDataWriter
from tests.hypothesis_profiles import examples
from tests.property._hostile import damaged
from tests.property._perfdata import SEEDS, read_whatever
from tests.unit.perfdata_encoder import FINISHED_ROUND, a_comm, a_sample, file
from tests.unit.test_perfdata_writer import ATTR

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80)
TIMES = st.integers(1, (1 << 64) - 1)


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    """A file in a directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"{folder}/x.data"


@given(
    rounds=st.lists(st.lists(TIMES, max_size=8), max_size=5),
    names=st.lists(TEXTS, min_size=1, max_size=4),
    features=st.builds(FileFeatures, hostname=TEXTS, command=st.lists(TEXTS, max_size=4).map(tuple)),
)
def test_what_is_written_is_read(
    path: str, rounds: Sequence[Sequence[int]], names: Sequence[str], features: FileFeatures
) -> None:
    events = [FileEvent(attr=ATTR, name=name, ids=(7 + at,)) for at, name in enumerate(names)]
    with PerfDataWriter(path, events, features=features) as writer:
        for times in rounds:
            writer.add(b"".join(a_sample(time, event=7 + time % len(names)) for time in times) + FINISHED_ROUND)
            writer.commit()
        writer.close()
    with PerfDataFile(path) as found:
        read = sorted((record.time or 0, record.id) for record in found.records())
    assert read == sorted((time, 7 + time % len(names)) for times in rounds for time in times)
    assert (found.problems, found.features.hostname, found.features.command) == (
        (),
        features.hostname,
        features.command,
    )


@given(st.lists(TIMES, max_size=60))
def test_every_record_comes_once_whatever_the_rounds(path: str, times: Sequence[int]) -> None:
    ends = [FINISHED_ROUND if time % 3 == 0 else b"" for time in times]
    Path(path).write_bytes(
        file(b"".join(a_sample(t) + end for t, end in zip(times, ends, strict=True)) or FINISHED_ROUND)
    )
    with PerfDataFile(path) as found:
        read = [record.time for record in found.records()]
    assert sorted(time or 0 for time in read) == sorted(times)


@pytest.mark.parametrize("seed", SEEDS)
def test_cut_at_any_byte_it_is_refused_or_read_as_far_as_it_goes(path: str, seed: str) -> None:
    whole = SEEDS[seed]
    count, _ = read_whatever(path, whole)
    before = 0
    for end in range(len(whole)):
        found, error = read_whatever(path, whole[:end])
        assert error is None or isinstance(error, PerfDataError)
        assert before <= found <= count
        before = found


@examples(300)
@given(st.sampled_from(sorted(SEEDS)), st.randoms(use_true_random=False))
def test_damage_gives_records_or_the_one_error(path: str, seed: str, random: object) -> None:
    read_whatever(path, damaged(SEEDS[seed], random))  # type: ignore[arg-type]


@examples(300)
@given(st.binary(max_size=400))
def test_records_of_any_bytes_are_read_or_counted_as_bad(path: str, noise: bytes) -> None:
    Path(path).write_bytes(file(a_comm("x", 1) + noise + FINISHED_ROUND))
    with PerfDataFile(path) as found:
        records = list(found.records())
    assert records
    assert found.counts.skipped_bytes <= len(noise) + 8
