"""What mutmut leaves alive, and docs/survivors.md, which argues for each of them why it may live.

``python -m tests.quality.mutation`` prints the survivors that the page lacks, and those that are dead by now.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.quality.project import ROOT

__all__ = ["Survivor", "listed", "survivors"]

_COPIED: Final = ("perfring", "simkernel", "tests", "docs", "pyproject.toml", "README.md")
_NAME: Final = re.compile(r"^\s*(\S+): survived$", re.MULTILINE)
_PLACE: Final = re.compile(r"^(?P<module>[\w.]+)\.x_?(?:ǁ(?P<cls>\w+)ǁ)?(?P<function>\w+?)__mutmut_\d+$")
_LISTED: Final = re.compile(r"^- `([\w.]+)`: ``? ?(.+?) ?``? → ``? ?(.+?) ?``?$", re.MULTILINE)


class Survivor(NamedTuple):
    """A change that no test notices.

    mutmut's own names are numbers, which any other change shifts; these are not.
    """

    function: str
    old: str
    new: str

    def __str__(self) -> str:
        """A line of the page."""
        return f"- `{self.function}`: `{self.old}` → `{self.new}`"


def survivors(folder: Path) -> list[Survivor]:
    """Runs mutmut, as pyproject.toml says, on a copy of the checkout: minutes.

    Raises:
        RuntimeError: mutmut did not come to its end, with what it said.
    """
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    _mutmut(folder, "run")
    return [_shown(folder, name) for name in _NAME.findall(_mutmut(folder, "results"))]


def _mutmut(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"PERFRING_LINUX": "0", "HYPOTHESIS_PROFILE": "default", "PYTHONPATH": ""}
    command = [sys.executable, "-m", "mutmut", *arguments]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"mutmut {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout


def _shown(folder: Path, name: str) -> Survivor:
    lines = _mutmut(folder, "show", name).splitlines()
    return Survivor(_place(name), *(_changed(lines, sign) for sign in "-+"))


def _changed(lines: Sequence[str], sign: str) -> str:
    return " ".join(line[1:].strip() for line in lines if re.match(rf"[{sign}](?![{sign}])", line))


def _place(name: str) -> str:
    found = _PLACE.match(name)
    assert found, f"mutmut has another way to name its mutants: {name}"
    return ".".join(part for part in found.group("module", "cls", "function") if part)


def listed(text: str) -> list[Survivor]:
    """The survivors that a page lists."""
    return [Survivor(*found) for found in _LISTED.findall(text)]


def main() -> int:
    """0 when the page lists exactly the survivors."""
    told = set(listed((ROOT / "docs" / "survivors.md").read_text()))
    with tempfile.TemporaryDirectory() as folder:
        alive = set(survivors(Path(folder)))
    sys.stdout.write("".join(f"{each}\n" for each in sorted(alive - told)))
    sys.stdout.write("".join(f"dead: {each}\n" for each in sorted(told - alive)))
    return int(alive != told)


if __name__ == "__main__":
    sys.exit(main())
