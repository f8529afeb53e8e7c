"""Every public name is in the reference, once: `docs/_extensions/reference_pages.py` writes its pages."""

from __future__ import annotations

import importlib
import re
import runpy
from collections import Counter
from typing import Any

import pytest

from tests.quality.project import ROOT, Module, label, modules

WRITER: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "_extensions" / "reference_pages.py"))
PUBLIC = [module for module in modules() if module.is_public]
PAGES = [WRITER["Page"](name) for name in WRITER["public_modules"]()]
HOMES = WRITER["homes_of"](PAGES)
TEXTS = {page.name: page.text(HOMES) for page in PAGES}
ENTRIES = Counter(re.findall(r"^\.\. auto(?!module)\w+:: (\S+)$", "\n".join(TEXTS.values()), re.MULTILINE))


def test_every_public_module_has_a_page() -> None:
    assert sorted(TEXTS) == sorted(module.name for module in PUBLIC)


@pytest.mark.parametrize("module", PUBLIC, ids=label)
def test_every_exported_name_is_described_or_leads_there(module: Module) -> None:
    exported = set(importlib.import_module(module.name).__all__) - {"__version__"}
    shown = re.findall(r"(?:^\.\. auto(?!module)\w+:: |:py:obj:`~)([\w.]+)`?$", TEXTS[module.name], re.MULTILINE)
    assert exported == {name.rpartition(".")[2] for name in shown}


@pytest.mark.parametrize("module", PUBLIC, ids=label)
def test_a_name_that_leads_elsewhere_arrives(module: Module) -> None:
    assert not set(re.findall(r":py:obj:`~([\w.]+)`", TEXTS[module.name])) - set(ENTRIES)


def test_nothing_is_described_twice() -> None:
    assert not [name for name, times in ENTRIES.items() if times > 1]


def test_what_programs_import_goes_by_that_name() -> None:
    assert {"perfring.Session", "perfring.watermark_verdict", "simkernel.SimKernel"} <= set(ENTRIES)
