"""What the pages of tutorial and how-to show, and how to run it.

A fence says what becomes of its block:

- ``python``: a piece of a file of docs/examples, word by word; the files have tests.
  ``python foreign`` is somebody else's.
- ``toml``: such a file as a whole.
- ``console``: commands behind ``$ ``, each with its output, where ``...`` stands for anything and the count of blanks
  does not matter; ``console linux`` needs the real kernel, and numbers may be others than those shown.
- ``sh``, ``c``, ``yaml``, ``text``: for people. They begin no line with perfring.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.quality.project import ROOT

DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [DOCS / "index.md", *sorted(path for folder in ("tutorial", "howto") for path in (DOCS / folder).glob("*.md"))]
_FENCE = re.compile(r"^```([^\n{]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(DOCS)}:{self.line}"

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Of a console: each command and what it prints."""
        return _COMMAND.findall(self.text)


def blocks(*infos: str) -> list[Block]:
    """The blocks of all pages whose fence says one of these, or all."""
    found = [
        Block(page, text.count("\n", 0, fence.start()) + 1, fence[1].strip(), fence[2])
        for page in PAGES
        for text in [page.read_text()]
        for fence in _FENCE.finditer(text)
    ]
    return [block for block in found if not infos or block.info in infos]


def run(block: Block, folder: Path) -> list[str]:
    """Runs the commands of a console among copies of the examples.

    Returns:
        for each command whose output is another one, a comparison for people.
    """
    for path in EXAMPLES.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    exact = block.info != "console linux"
    ran = [(command, wanted, _printed(command, folder)) for command, wanted in block.commands]
    return [_told(*each) for each in ran if not _matches(*each[1:], exact=exact)]


def _printed(command: str, folder: Path) -> str:
    """What a command prints in 88 columns and no colours, without blanks at the ends of lines."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": tools, "COLUMNS": "88", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def _matches(wanted: str, printed: str, *, exact: bool) -> bool:
    """Whether a command printed what is written; if not exact, numbers may be others."""
    words = (re.escape(word).replace(re.escape("..."), ".*?") for word in wanted.split())
    pattern = r"\s*".join(words)
    if not exact:
        pattern = re.sub(r"[0-9]+", "[0-9]+", pattern)
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def _told(command: str, wanted: str, printed: str) -> str:
    return f"$ {command}\n-- is said to print --\n{wanted}-- prints --\n{printed}"
