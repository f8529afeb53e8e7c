"""The layers of the test suite that hunt bugs, cheapest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LAYERS", "Layer", "layer_of"]


@dataclass(frozen=True, slots=True)
class Layer:
    """Tests that look for bugs in one way.

    Attributes:
        name: what the table calls it.
        does: how it looks, as a sentence for the page.
        counts: what an example of it is.
        files: where its tests are.
        not_these: how the names of tests begin that judge the harness and not the code.
    """

    name: str
    does: str
    counts: str
    files: tuple[str, ...]
    not_these: tuple[str, ...] = ()

    def has(self, node: str) -> bool:
        """Whether a test, by its pytest node id, belongs to this layer."""
        path, _, rest = node.partition("::")
        return path in self.files and not rest.startswith(self.not_these or "::")


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/test_{name}.py" for name in names)


# Unit tests of commands, pictures, guests and the like never see a ring: they would only be waited for.
LAYERS: Final = (
    Layer(
        "unit",
        "says what one module does (geometry, ring, decoder, drain, order, sweep, waiting, guard, dispatch, reading, "
        "builder's watermark, columns, simulated ring and kernel), on rings made of bytes and kernels made for the "
        "test",
        "a test",
        _unit(
            *("geometry", "ring", "records_decoder", "draining", "ordering", "sweeping", "waiting", "guard"),
            *("dispatch", "reading", "builder_watermark", "simkernel_ringbuf", "simkernel_kernel"),
            *("columns_walk", "columns_batch", "columns_payload", "columns_decoding", "columns_memory"),
        ),
    ),
    Layer(
        "explore",
        "visits every interleaving of a writing CPU and a reader on rings of 64 to 256 bytes",
        "a state",
        (*_unit("simkernel_explore"), "tests/quality/test_races.py"),
        ("test_a_wrong_", "test_every_", "test_the_example_", "test_the_page_", "test_a_depth_", "test_a_number_"),
    ),
    Layer(
        "proof",
        "follows every way through the verdict with z3, and walks the ring in step with the proofs' model",
        "a walk; for the verdict, a test",
        ("tests/proofs/test_lockstep.py", "tests/proofs/test_verdict.py"),
        ("test_a_bug_in_",),
    ),
    Layer(
        "contract",
        "asks for what a real kernel does, check by check, and for what a session makes of it",
        "a check",
        tuple(
            f"tests/contract/test_{name}.py"
            for name in (
                *("contract_sim", "session", "session_faults", "session_asyncio"),
                *("session_iterations", "session_targets", "overwrite_session", "stall", "programs"),
                *("session_columns", "session_columns_faults"),
            )
        ),
    ),
    Layer(
        "consumer",
        "gives a right reader, and the session, every trouble that a ring can make",
        "a check",
        ("tests/quality/test_consumers.py",),
        ("test_a_wrong_", "test_every_", "test_the_example_", "test_the_page_", "test_a_nested_"),
    ),
    Layer(
        "machine",
        "makes system calls in random order, in step with a model that shares nothing with the simulator",
        "a run of 40 steps",
        ("tests/property/test_machine.py",),
    ),
    Layer(
        "property",
        "makes statements over all inputs, with Hypothesis or by exhaustion",
        "an example of Hypothesis",
        tuple(
            f"tests/property/test_{name}.py"
            for name in (
                *("ringbuf", "geometry", "builder", "records", "waiting_reader", "small_rings", "sessions"),
                *("columns", "columns_order"),
            )
        ),
    ),
)


def layer_of(node: str) -> Layer | None:
    """The layer that a test, by its pytest node id, belongs to."""
    return next((layer for layer in LAYERS if layer.has(node)), None)
