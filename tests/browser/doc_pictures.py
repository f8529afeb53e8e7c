"""The pictures of docs/explanation/wakeups.md: `python -m tests.browser.doc_pictures` draws them again.

They are stories of `perfring.stories` on the simulated kernel, drawn by perfring's own page in Chromium. Each file ends
in a digest of the timeline that it shows, so that a picture which is out of date is found without a browser.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

from perfring.picture import write_page
from perfring.stories import STORIES, watch
from perfring.timeline import Timeline
from perfring.verify import Arm
from simkernel import SimKernel
from tests.browser.chromium import Browser, find_chromium
from tests.quality.project import ROOT

FOLDER = ROOT / "docs" / "explanation" / "pictures"
WIDTH = 800
# The file, and which of the stories it shows.
PICTURES = {"half.svg": 0, "largest-safe.svg": 1, "one-loss.svg": 3, "never.svg": 5}


def timeline_of(name: str) -> Timeline:
    """What a picture shows."""
    kernel = SimKernel(capabilities=frozenset({"CAP_PERFMON"}))
    arm = Arm(f"simulated {kernel.release}", kernel, kernel.actor())
    return watch(arm, STORIES[PICTURES[name]])


def digest_of(timeline: Timeline) -> str:
    """A comment that differs when anything in the timeline does."""
    text = json.dumps(timeline.to_dict(), sort_keys=True)
    return f"<!-- timeline {hashlib.sha256(text.encode()).hexdigest()} -->"


def draw(browser: Browser, name: str) -> str:
    """The picture, as SVG."""
    timeline = timeline_of(name)
    with tempfile.TemporaryDirectory(prefix="perfring-picture-") as folder:
        page = Path(folder) / "page.html"
        write_page([timeline], page, title=name)
        browser.window(WIDTH + 200)
        browser.scheme("light")
        browser.open(page)
        url = browser.evaluate(f"""(() => {{
            const plot = document.querySelector(".plot");
            const size = {{ format: "svg", width: {WIDTH}, height: plot.layout.height }};
            return Plotly.toImage(plot, size);
        }})()""")
    return f"{unquote(url.partition(',')[2])}\n{digest_of(timeline)}\n"


def main() -> int:
    """Draws all of them."""
    command = find_chromium()
    if command is None:
        sys.exit("no chromium on PATH: on Debian, apt-get install chromium")
    with Browser(command) as browser:
        for name in PICTURES:
            FOLDER.joinpath(name).write_text(draw(browser, name))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
