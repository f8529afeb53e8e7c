"""Fact numbers lead to their facts: ``(K7)`` in a docstring or on a page becomes a link to ``kernel.md#k7``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

FACTS_PAGE = "kernel"
FACT = re.compile(r"\bK[1-9][0-9]?\b")
NOT_INSIDE = (nodes.reference, nodes.literal, nodes.literal_block, nodes.title, nodes.raw)


class FactLinks(SphinxPostTransform):
    """Makes a link of each fact number in running text, except on the page of the facts itself."""

    default_priority = 900

    def run(self, **_: Any) -> None:
        """Called by Sphinx, for each page that is written."""
        if self.env.docname == FACTS_PAGE:
            return
        for text in list(self.document.findall(nodes.Text)):
            if FACT.search(text) and not is_inside(text, NOT_INSIDE):
                text.parent.replace(text, list(self._linked(text.astext())))

    def _linked(self, text: str) -> Iterator[nodes.Node]:
        end = 0
        for found in FACT.finditer(text):
            yield nodes.Text(text[end : found.start()])
            shown = nodes.Text(found[0])
            yield make_refnode(self.app.builder, self.env.docname, FACTS_PAGE, found[0].lower(), shown)
            end = found.end()
        yield nodes.Text(text[end:])


def is_inside(node: nodes.Node, kinds: tuple[type[nodes.Element], ...]) -> bool:
    """Whether any node around this one is of such a kind."""
    parent = node.parent
    while parent is not None:
        if isinstance(parent, kinds):
            return True
        parent = parent.parent
    return False


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_post_transform(FactLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
