"""An announcement, an empty batch, of a session of columns."""

from __future__ import annotations

import pytest

from simkernel import SimKernel
from tests.session_rig import watching


def test_an_announcement_has_no_columns_and_says_so_without_an_error(sim_kernel: SimKernel) -> None:
    pytest.importorskip("numpy")
    with watching(sim_kernel.actor(cpu=0)).with_columns().build(sim_kernel) as session:
        batch = session.next_batch(timeout=0)
        assert (len(batch), dict(batch.columns), list(batch.others)) == (0, {}, [])
