"""Pictures of timelines: one page of HTML that needs nothing else, and the same in a terminal.

`write_page` needs plotly, the extra ``plots``; `terminal` needs nothing::

    thinning, words ──> traces ──> figure ──> page      what a browser shows
                  └───────────────────────> screen    what a terminal shows

Both say in words what they show: a stalled ring is stalled for somebody who sees no colours, or no picture at all.
"""

from __future__ import annotations

from perfring.picture.page import Table, render_page, require_plotly, write_page
from perfring.picture.screen import terminal

__all__ = ["Table", "render_page", "require_plotly", "terminal", "write_page"]
