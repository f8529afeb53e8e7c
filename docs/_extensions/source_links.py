"""The pages of sources, which sphinx.ext.viewcode makes, lead back to what is described, and where it is described.

It takes a name for one of the module that defines it. Here most are described as programs import them,
``perfring.Session``, and some bases of public classes nowhere.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

OURS = ("perfring", "simkernel")
BACK = re.compile(r'<a class="viewcode-back" href="[^"#]*#([^"]*)">([^<]*)</a>')
FOREIGN = re.compile(rf'<li><a href="(?!(?:{"|".join(OURS)})[/.])[^"]*">[^<]*</a></li>\n?')
"""In the list of modules: those of the standard library, of which no page is made."""


def lead_back(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Rewrites the links of a page of sources, or drops them; called by Sphinx for each page of HTML."""
    del templatename, doctree
    if pagename == "_modules/index":
        context["body"] = FOREIGN.sub("", context["body"])
    elif pagename.startswith("_modules/"):
        module = pagename.removeprefix("_modules/").replace("/", ".")
        context["body"] = BACK.sub(lambda found: _link(app, pagename, module, found), context["body"])


def _link(app: Sphinx, pagename: str, module: str, found: re.Match[str]) -> str:
    described = app.env.domains.python_domain.objects
    for name in _names(unescape(found[1]), module):
        if name in described:
            there = app.builder.get_relative_uri(pagename, described[name].docname)
            return f'<a class="viewcode-back" href="{there}#{escape(described[name].node_id)}">{found[2]}</a>'
    return ""


def _names(name: str, module: str) -> Iterator[str]:
    """What it may be described as: as it is, by its module, or by a package that it can be imported from."""
    package = module.partition(".")[0]
    yield name
    for home in (module, package):
        if name.startswith(f"{home}."):
            own = name.removeprefix(f"{home}.")
            yield from (f"{module}.{own}", f"{package}.{own}", f"{package}.abi.{own}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", lead_back)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
