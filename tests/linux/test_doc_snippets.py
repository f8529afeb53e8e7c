"""The commands of tutorial and how-to that need the real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quality.snippets import Block, blocks, run


@pytest.mark.parametrize("block", blocks("console linux"), ids=str)
def test_a_command_prints_what_is_written(block: Block, tmp_path: Path) -> None:
    assert block.commands
    differences = run(block, tmp_path)
    assert not differences, "\n".join(differences)
