"""The documentation shows what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.quality.project import ROOT

REFERENCE = ROOT / "docs" / "reference"
GENERATED = (REFERENCE / "commands.md", REFERENCE / "modules")
"""Written when the site is built, which then checks the links to them."""


def _is_generated(path: Path) -> bool:
    return any(path == one or one in path.parents for one in GENERATED)


PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests" / "README.md"]
    if not _is_generated(page)
)
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file(page: Path) -> None:
    linked = [(link, (page.parent / link).resolve()) for link in LINK.findall(page.read_text())]
    assert not [link for link, path in linked if not _is_generated(path) and not path.exists()]


def test_the_readme_shows_an_example_as_it_is() -> None:
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown
    assert set(shown) <= {path.read_text() for path in EXAMPLES}
