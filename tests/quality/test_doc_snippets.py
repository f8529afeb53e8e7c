"""What tutorial and how-to show is what there is: code is that of the examples, commands print what is written."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.quality.snippets import EXAMPLES, Block, blocks, run

KINDS = {"python", "python foreign", "toml", "console", "console linux", "sh", "c", "yaml", "text"}
PROGRAMS = {path: path.read_text() for path in sorted(EXAMPLES.glob("*.py"))}


def _pieces(text: str, length: int) -> set[str]:
    """Every run of so many lines, as if it began at the margin."""
    lines = text.splitlines(keepends=True)
    return {textwrap.dedent("".join(lines[start : start + length])) for start in range(len(lines) - length + 1)}


def test_there_is_something_to_run() -> None:
    assert len(blocks("python")) > 10
    assert len(blocks("console", "console linux")) > 10


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_fence_is_of_a_known_kind(block: Block) -> None:
    assert block.info in KINDS


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_code_is_a_piece_of_an_example(block: Block) -> None:
    length = len(block.text.splitlines())
    assert any(block.text in _pieces(text, length) for text in PROGRAMS.values())


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_a_scenario_is_a_file_of_the_examples(block: Block) -> None:
    assert block.text in {path.read_text() for path in EXAMPLES.glob("*.toml")}


@pytest.mark.parametrize("block", blocks("sh", "text", "c", "yaml"), ids=str)
def test_a_command_of_ours_stands_in_a_console(block: Block) -> None:
    assert not [line for line in block.text.splitlines() if line.startswith(("perfring ", "$ "))]


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_a_command_prints_what_is_written(block: Block, tmp_path: Path) -> None:
    assert block.commands
    differences = run(block, tmp_path)
    assert not differences, "\n".join(differences)
