"""Links that lead out of docs/, and work on the repository's host, lead to something on the site as well.

README.md and its like have a page here. A module has its source, made by sphinx.ext.viewcode. Any other file is put
beside the page, to be downloaded: MyST does that by itself. A folder is told by its name alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "tests/README.md": "project/tests.md",
}
"""Files outside docs/, and the pages that show them."""

LINK = re.compile(r"\[([^]]*)]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def lead_home(app: Sphinx, docname: str, content: list[str]) -> None:
    """Rewrites the links of a page before Sphinx reads it."""
    docs, root = Path(app.srcdir), Path(app.srcdir).parent
    page = Path(app.env.doc2path(docname))
    shows = next((name for name, shown in PAGES.items() if docs / shown == page and shown != "index.md"), None)
    written_in = (root / shows).parent if shows else page.parent
    if shows:
        content[0] = (root / shows).read_text()
        app.env.note_dependency(str(root / shows))

    def leads(found: re.Match[str]) -> str:
        text, target, anchor = found[1], (written_in / found[2]).resolve(), found[3] or ""
        inside = PAGES.get(str(target.relative_to(root))) if target.is_relative_to(root) else None
        if inside:
            target = docs / inside
        elif target.is_dir():
            return text
        return f"[{text}]({os.path.relpath(target, page.parent)}{anchor})"

    content[0] = LINK.sub(leads, content[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", lead_home)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
