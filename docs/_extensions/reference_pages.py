"""A page for each public module of both packages, and one for the command: written anew by every build.

A name is described once, as programs import it: `perfring.Session`, not `perfring.session.Session`.
It stands on the page of the module that defines it; the page of a package has a table that leads there.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import GenericAlias, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.ext.autodoc import Options

PACKAGES = ("perfring", "simkernel")
FOLDER = "reference/modules"
COMMAND_PAGE = "reference/commands.md"
DEFINITION = r"^(?:class |def |async def )?(\w+)\b\s*[:=(\[]"


@dataclass(frozen=True)
class Page:
    """The page of one public module."""

    name: str

    @cached_property
    def module(self) -> ModuleType:
        """The module itself."""
        return importlib.import_module(self.name)

    @property
    def offered(self) -> list[str]:
        """What it exports."""
        return [name for name in getattr(self.module, "__all__", []) if name != "__version__"]

    @cached_property
    def defined(self) -> set[str]:
        """What its own text assigns or defines."""
        return set(re.findall(DEFINITION, inspect.getsource(self.module), re.MULTILINE))

    def offers(self, name: str, value: object) -> bool:
        """Whether it exports the very thing by this name."""
        return name in self.offered and getattr(self.module, name) is value

    def defines(self, name: str) -> bool:
        """Whether the thing of this name comes from here."""
        return name in self.defined

    def text(self, homes: dict[str, str]) -> str:
        """The page in reStructuredText.

        Args:
            homes: the module that defines it, by the full name of whatever a package exports.
        """
        title = f"``{self.name}``"
        lines = [title, "=" * len(title), "", f".. automodule:: {self.name}", ""]
        foreign = [name for name in self.offered if f"{self.name}.{name}" in homes]
        if foreign:
            lines += [".. rubric:: Its names", "", ".. list-table::", ""]
            lines += [line for name in foreign for line in self._row(name, homes)]
        own = [name for name in self.offered if name not in foreign]
        return "\n".join([*lines, *(line for name in own for line in self._entry(name)), ""])

    def _row(self, name: str, homes: dict[str, str]) -> list[str]:
        value = getattr(self.module, name)
        summary = (getattr(value, "__doc__", None) or "").strip().split("\n")[0] if _is_code(value) else ""
        home = homes[f"{self.name}.{name}"]
        return [f"   * - :py:obj:`~{_public_name(home, name)}`", f"     - {summary or f':py:mod:`{home}`'}"]

    def _entry(self, name: str) -> list[str]:
        value = getattr(self.module, name)
        if not _is_code(value):
            return [f".. autodata:: {self.name}.{name}", ""]
        entry = [f".. auto{_kind(value)}:: {_public_name(self.name, name)}"]
        if isinstance(value, type):
            entry.append("   :members:")
            entry += ["   :show-inheritance:"] if value.__bases__ != (object,) else []
        return [*entry, ""]


def _is_code(value: object) -> bool:
    """Whether it is a class or a function, which have docstrings of their own; all else is data."""
    alias = isinstance(value, GenericAlias)  # dict[str, int] claims to be a class
    return not alias and (inspect.isclass(value) or inspect.isroutine(value))


def _kind(value: object) -> str:
    if not isinstance(value, type):
        return "function"
    return "exception" if issubclass(value, BaseException) else "class"


def _public_name(module: str, name: str) -> str:
    """The shortest name: of the package at the top if it offers the very thing, for classes and functions."""
    top = importlib.import_module(module.partition(".")[0])
    value = getattr(importlib.import_module(module), name)
    short = name in top.__all__ and getattr(top, name) is value and _is_code(value)
    return f"{top.__name__}.{name}" if short else f"{module}.{name}"


def public_modules() -> Iterator[str]:
    """The dotted names of all modules without an underscore."""
    for package in map(importlib.import_module, PACKAGES):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not any(part.startswith("_") for part in found.name.split(".")):
                yield found.name


def homes_of(pages: list[Page]) -> dict[str, str]:
    """Which module defines it, by the full name of whatever a module exports and only imports."""
    offering: dict[str, list[Page]] = {}
    for page in pages:
        for name in page.offered:
            offering.setdefault(name, []).append(page)
    found: dict[str, str] = {}
    for name, several in offering.items():
        for page in several:
            value = getattr(page.module, name)
            home = next((other for other in several if other.defines(name) and other.offers(name, value)), page)
            if home is not page:
                found[f"{page.name}.{name}"] = home.name
    return found


def _write(path: Path, text: str) -> None:
    """Only what differs: Sphinx reads again whatever has a new date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def _command_page() -> str:
    """The options of the command, as typer writes them down, without its list of what follows, which it cuts short."""
    app = str(Path(__file__).with_name("command_app.py"))
    command = [sys.executable, "-m", "typer", app, "utils", "docs", "--name", "perfring"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text = re.sub(r"\*\*Commands\*\*:.*?(?=^## )", "", text, flags=re.DOTALL | re.MULTILINE)
    return text.replace("# `perfring`", "# The command `perfring`", 1)


def write_pages(app: Sphinx) -> None:
    """Writes the pages into the folder of the sources, and takes away those of modules that are gone."""
    folder = Path(app.srcdir) / FOLDER
    pages = [Page(name) for name in public_modules()]
    homes = homes_of(pages)
    for page in pages:
        _write(folder / f"{page.name}.rst", page.text(homes))
    for path in folder.glob("*.rst"):
        if path.stem not in {page.name for page in pages}:
            path.unlink()
    _write(Path(app.srcdir) / COMMAND_PAGE, _command_page())


def leave_out_private_arguments(
    app: Sphinx,  # noqa: ARG001 - Sphinx gives it
    what: str,
    name: str,  # noqa: ARG001 - likewise
    value: object,  # noqa: ARG001 - likewise
    options: Options,  # noqa: ARG001 - likewise
    signature: str | None,
    returned: str | None,
) -> tuple[str, str | None] | None:
    """A class whose arguments are its own affair, such as `SessionBuilder`, is made without any."""
    private = what == "class" and signature and re.search(r"[(\s]_\w+:", signature)
    return ("()", returned) if private else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-signature", leave_out_private_arguments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
