"""The site as it was built: everything is there, and every way leads somewhere."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.quality.project import ROOT, Module, label, modules
from tests.site.pages import Page

PUBLIC = [module for module in modules() if module.is_public]
WRITTEN = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))


@cache
def _page(path: Path) -> Page:
    return Page(path)


def _pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def _leads_nowhere(page: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return True
    return bool(parts.fragment) and target.suffix == ".html" and unquote(parts.fragment) not in _page(target).anchors


def test_every_page_that_was_written_is_there(site: Path) -> None:
    assert not [path for path in WRITTEN if not (site / path).with_suffix(".html").is_file()]


def test_every_link_leads_somewhere(site: Path) -> None:
    wrong = {
        f"{page.relative_to(site)}: {link}"
        for page in _pages(site)
        for link in _page(page).links
        if _leads_nowhere(page, link)
    }
    assert not wrong


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = {url for page in _pages(site) for url in _page(page).loaded if urlsplit(url).netloc}
    assert not fetched


@pytest.mark.parametrize("module", PUBLIC, ids=label)
def test_every_public_name_is_described(site: Path, module: Module) -> None:
    anchors = _described(site)
    exported = [name for name in importlib.import_module(module.name).__all__ if name != "__version__"]
    assert not [name for name in exported if not _names(module.name, name) & anchors]


@cache
def _described(site: Path) -> set[str]:
    pages = (site / "reference" / "modules").glob("*.html")
    return set().union(*(_page(page).anchors for page in pages))


def _names(module: str, name: str) -> set[str]:
    """What a name may be described as: where it is exported, or where it comes from."""
    value = getattr(importlib.import_module(module), name)
    home = getattr(value, "__module__", module)
    package = module.partition(".")[0]
    elsewhere = {f"{other.name}.{name}" for other in PUBLIC if name in importlib.import_module(other.name).__all__}
    return {f"{module}.{name}", f"{home}.{name}", f"{package}.{name}"} | elsewhere


def test_a_fact_in_a_docstring_leads_to_the_fact(site: Path) -> None:
    text = (site / "reference" / "modules" / "perfring.geometry.html").read_text()
    assert re.search(r'<a [^>]*href="\.\./\.\./kernel\.html#k7"[^>]*>K7</a>', text)


def test_a_name_on_a_page_leads_to_its_description(site: Path) -> None:
    links = _page(site / "howto" / "asyncio.html").links
    assert "../reference/modules/perfring.batch.html#perfring.Batch" in links


def test_a_link_out_of_docs_leads_to_its_page_here(site: Path) -> None:
    assert "tests.html" in _page(site / "project" / "contributing.html").links
