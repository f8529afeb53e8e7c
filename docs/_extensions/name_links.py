"""Names lead to their descriptions: words in backticks, and the types in signatures.

Sphinx would guess: it takes the first of all things that end in the word, so that ``bytes`` became a link to some
attribute of that name. Here a word is what Python would make of it: a name of the class, of the module, of what the
module imports (for typing as well), or one that programs import from a package. Anything else is no link.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from docutils import nodes
from fact_links import is_inside
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.ext.autodoc import Options

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*(?=(\(\))?$)")
# Where a word is looked for that is nothing in its own module, in this order.
PACKAGES = ("perfring.", "simkernel.", "perfring.abi.")


class NameLinks(SphinxPostTransform):
    """Settles every reference to something of Python, before Sphinx would guess."""

    default_priority = 5  # that of sphinx.transforms.post_transforms.ReferencesResolver is 10

    def run(self, **_: Any) -> None:
        """Called by Sphinx, for each page that is written."""
        self.domain = self.env.domains.python_domain
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node.get("refdomain") == "py":
                self._settle(node)
        if not self.env.docname.startswith("reference/modules/"):
            for literal in list(self.document.findall(nodes.literal)):
                self._try(literal)

    def _settle(self, node: addnodes.pending_xref) -> None:
        where = self._place(_meanings(node))
        shown = node.children[:1] or [nodes.Text(str(node["reftarget"]))]
        # A type has a condition for each way of writing it: the first is the one without its module.
        if isinstance(shown[0], addnodes.pending_xref_condition):
            shown = shown[0].children
        node.replace_self(self._link(where, shown[0]) if where else shown)

    def _try(self, literal: nodes.literal) -> None:
        """A word in backticks on a page in Markdown."""
        found = NAME.match(literal.astext())
        if found and not is_inside(literal, (nodes.reference, nodes.title)):
            # A module by its full name only: `simulate` is rather the command.
            where = self._place(_imported_from_packages(found[0]), with_modules="." in found[0])
            if where:
                literal.replace_self(self._link(where, literal.deepcopy()))

    def _place(self, names: Iterator[str], *, with_modules: bool = True) -> tuple[str, str] | None:
        """Page and anchor of the first of these names that is described."""
        for name in names:
            if name in self.domain.objects:
                return self.domain.objects[name].docname, self.domain.objects[name].node_id
            if name in self.domain.modules and with_modules:
                return self.domain.modules[name].docname, self.domain.modules[name].node_id
        return None

    def _link(self, where: tuple[str, str], shown: nodes.Node) -> nodes.reference:
        return make_refnode(self.app.builder, self.env.docname, *where, shown)


def _meanings(node: addnodes.pending_xref) -> Iterator[str]:
    """The full names that a word can stand for, the nearest first."""
    word = str(node["reftarget"]).lstrip(".").removesuffix("()")
    module, cls = node.get("py:module"), node.get("py:class")
    if module and cls:
        yield f"{module}.{cls}.{word}"
    if hasattr(builtins, word):
        return
    if module:
        yield f"{module}.{word}"
        first, dot, rest = word.partition(".")
        imported = _imports(module).get(first)
        if imported:
            yield imported + dot + rest
    yield from _imported_from_packages(word)


def _imported_from_packages(word: str) -> Iterator[str]:
    yield from (package + word for package in PACKAGES)
    if "." in word:  # in full; a single word such as `perfring` is rather the command
        yield word


@cache
def _imports(module: str) -> dict[str, str]:
    """What a module imports from others by name, for typing as well: the full name of each."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    return {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}


def leave_out_the_type(
    app: Sphinx,  # noqa: ARG001 - Sphinx gives it
    what: str,
    name: str,  # noqa: ARG001 - likewise
    value: object,
    options: Options,  # noqa: ARG001 - likewise
    lines: list[str],
) -> None:
    """Data without a docstring has none, instead of that of its type: what a dict is, nobody asks here."""
    of_type = (inspect.getdoc(value) or "").splitlines()[:1]
    if what == "data" and lines[:1] == of_type:
        lines.clear()


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_post_transform(NameLinks)
    app.connect("autodoc-process-docstring", leave_out_the_type)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
