"""What real kernels did, again on the simulated one: nothing differs save what `simkernel.contract.known` says.

Each recording is replayed with the release that it names. No kernel and no privilege is needed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from simkernel.contract.compare import Difference
from simkernel.contract.corpus import programs_in
from simkernel.contract.known import ALL, KNOWN, Known, release_label
from simkernel.contract.program import Program
from simkernel.contract.recordings import batch_of
from tests.conformance._recorded import CORPUS, RANDOM_CHUNKS, RECORDINGS, chunk, machine, replay_of, traces

CHUNKS = [path.stem for path in sorted(CORPUS.glob("*.programs"))]
CHUNKS += [f"random {number + 1}" for number in range(RANDOM_CHUNKS)]
SHOWN = 3
AGAIN = "record the corpus again on every kernel: ci/kernels --record --steps 0"


def shown(name: str, difference: Difference) -> str:
    """The program as far as it matters, and what is not as it was on Linux."""
    return f"{name}\n{Program(difference.program.steps[: difference.at + 1])}{difference}"


@pytest.mark.parametrize("part", CHUNKS)
@pytest.mark.parametrize("release", RECORDINGS)
def test_the_simulated_kernel_does_what_linux_did(release: str, part: str) -> None:
    replay = replay_of(release, chunk(release, part))
    assert replay.programs, f"nothing of {part} is in {RECORDINGS[release]}: {AGAIN}"
    assert not replay.unexplained, "\n\n".join(shown(*each) for each in replay.unexplained[:SHOWN])


@pytest.mark.parametrize(
    ("release", "known"),
    [
        pytest.param(
            release,
            known,
            id=f"{release}-{known.programs}",
            # Strict: what does not differ any more has to leave the table.
            marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=known.reason),
        )
        for known in KNOWN
        for release in known.releases
    ],
)
def test_a_known_difference_is_none(release: str, known: Known) -> None:
    named = [trace for trace in traces(release) if fnmatchcase(trace.name, known.programs)]
    if not named:
        raise LookupError(f"no program of {RECORDINGS[release]} is called {known.programs}")
    assert not replay_of(release, named).known[known]


def test_each_simulated_release_has_its_recording() -> None:
    assert tuple(RECORDINGS) == ALL


@pytest.mark.parametrize("release", RECORDINGS)
def test_a_recording_is_of_the_kernel_that_it_is_called_by(release: str) -> None:
    recorded = machine(release)
    assert (recorded.arm, release_label(recorded.release)) == ("linux", release)


@pytest.mark.parametrize("release", RECORDINGS)
def test_a_recording_names_version_and_configuration(release: str) -> None:
    facts = machine(release).facts
    assert facts["version"].startswith("#1 SMP")
    assert facts["CONFIG_PERF_EVENTS"] == "y"


@pytest.mark.parametrize("release", RECORDINGS)
def test_a_recording_holds_the_corpus_as_it_is(release: str) -> None:
    recorded = {
        trace.name: str(Program(trace.program.steps)) for trace in traces(release) if batch_of(trace) == "corpus"
    }
    written = {name: str(Program(program.steps)) for name, program in programs_in(CORPUS)}
    wrong = sorted(name for name in recorded.keys() | written.keys() if recorded.get(name) != written.get(name))
    assert not wrong, f"{len(wrong)} programs are not as they are in the corpus, {wrong[0]} the first: {AGAIN}"
