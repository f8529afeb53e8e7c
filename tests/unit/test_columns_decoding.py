"""Every decode test again, on both engines: whatever a decoder is given there is taken as columns too, and compared.

The tests are those of three other modules, as they are; here `Decoder` is watched while they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perfring import engine
from perfring.batch import Reason
from perfring.columns import ColumnOrder, ColumnTaker
from perfring.columns.image import Image
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.records import Record
from tests.engines import EACH_ENGINE
from tests.unit import test_records_decoder, test_records_samples, test_records_sideband
from tests.unit.encoder import PLAIN, sample

for _module in (test_records_decoder, test_records_samples, test_records_sideband):
    globals().update({name: value for name, value in vars(_module).items() if name.startswith("test_")})


class Watch:
    """Takes as columns whatever a decoder decodes."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.compared = 0
        self._run, self._one = Decoder.decode_run, Decoder.decode
        self._busy = False
        watch = self

        def decode_run(self: Decoder, buffer: bytes, **keywords: Any) -> tuple[list[Record], int]:
            return watch.run(self, buffer, **keywords)

        def decode(self: Decoder, image: bytes, offset: int = 0, **keywords: Any) -> Record:
            return watch.one(self, image, offset, **keywords)

        patch.setattr(Decoder, "decode_run", decode_run)
        patch.setattr(Decoder, "decode", decode)

    def run(
        self, decoder: Decoder, buffer: bytes, *, on_bad: Callable[[BadRecord], None], **keywords: Any
    ) -> tuple[list[Record], int]:
        bad: list[BadRecord] = []
        self._busy, busy = True, self._busy
        records, consumed = self._run(decoder, buffer, on_bad=bad.append, **keywords)
        self._busy = busy
        if not busy:
            found = self._columns(decoder, buffer, **keywords)
            assert found == (in_time_order(records), consumed, sorted(map(str, bad)))
        for error in bad:
            on_bad(error)
        return records, consumed

    def one(self, decoder: Decoder, image: bytes, offset: int, **keywords: Any) -> Record:
        try:
            record = self._one(decoder, image, offset, **keywords)
        except BadRecord as error:
            if error.skipped and not self._busy:
                record_alone = image[offset : offset + error.skipped]
                records, _, bad = self._columns(decoder, record_alone, final=True, **keywords)
                assert (records, bad) == ([], [str(error)])  # noqa: PT017 - it is raised again
            raise
        if not self._busy:
            records, _, bad = self._columns(decoder, image[offset : offset + record.size], **keywords)
            assert (records, bad) == ([record], [])
        return record

    def _columns(self, decoder: Decoder, image: bytes, **keywords: Any) -> tuple[list[Record], int, list[str]]:
        bad: list[BadRecord] = []
        self._busy = True
        try:
            block, consumed = ColumnTaker(decoder).take(Image.of(image), on_bad=bad.append, **keywords)
        finally:
            self._busy = False
        order = ColumnOrder()
        order.pending += [] if block is None else [block]
        self.compared += 1
        return list(order.batch(order.release(), Reason.START)), consumed, sorted(map(str, bad))


def in_time_order(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: -1 if record.time is None else min(record.time, 2**63 - 1))


@pytest.fixture(params=EACH_ENGINE, autouse=True)
def watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    with engine.using(request.param):
        yield Watch(monkeypatch)


def test_all_three_modules_are_run_again_and_watched(watch: Watch) -> None:
    assert sum(name.startswith("test_") for name in globals()) > 80
    Decoder(default=PLAIN.layout()).decode(sample(PLAIN, test_records_samples.WHO), cpu=0, position=0)
    assert watch.compared == 1
