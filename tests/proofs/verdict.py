"""The real `watermark_verdict` as a formula: every way through its code, for all sizes and watermarks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path as File
from types import ModuleType
from typing import Any

from perfring import geometry
from perfring.geometry import Verdict
from tests.proofs.logic import Number, Truth, all_of, integer
from tests.proofs.model import Ring
from tests.proofs.symbolic import Path, Paths, term_of

SIZE, ASKED, SMALLEST, LARGEST, LOST = map(integer, ("S", "asked", "r_min", "r_max", "LOST"))
UNKNOWNS = (SIZE, ASKED, SMALLEST, LARGEST, LOST)


def ways(
    *assuming: Truth, overwrite: bool = False, module: ModuleType = geometry
) -> Iterator[Path[Verdict]]:
    """Every way through ``watermark_verdict``, for a ring of ``SIZE`` bytes and a watermark of ``ASKED``.

    Only what `ring_data_bytes` returns is put in its place: a multiple of 8 from 8 on, which all its powers of two are.
    """
    paths = Paths(SIZE >= 8, SIZE % 8 == 0, *assuming)
    asked, smallest, largest, lost = map(paths.unknown, UNKNOWNS[1:])

    def judge() -> Verdict:
        told = module.watermark_verdict(
            1, asked, record_bytes=(smallest, largest), lost_bytes=lost, overwrite=overwrite
        )
        return _verdict(told)

    with replaced(module, "ring_data_bytes", lambda count, size: paths.unknown(SIZE)):
        yield from paths.all_of(judge)


def _verdict(told: Any) -> Verdict:
    return told  # of whichever copy of the module
