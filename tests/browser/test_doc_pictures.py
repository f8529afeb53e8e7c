"""The pictures in the documentation show what the code does today; no browser is needed to see that."""

from __future__ import annotations

import re

import pytest

from tests.browser.doc_pictures import FOLDER, PICTURES, digest_of, timeline_of
from tests.quality.project import ROOT

PAGE = ROOT / "docs" / "explanation" / "wakeups.md"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_shows_what_happens_now(name: str) -> None:
    drawn = (FOLDER / name).read_text()
    assert drawn.rstrip().endswith(digest_of(timeline_of(name))), "python -m tests.browser.doc_pictures draws it again"


def test_every_picture_is_shown() -> None:
    shown = re.findall(r"!\[[^]]+]\(pictures/([^)]+)\)", PAGE.read_text())
    assert sorted(shown) == sorted(PICTURES) == sorted(path.name for path in FOLDER.iterdir())
