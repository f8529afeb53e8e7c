"""The command: what it refuses, and with which words."""

from __future__ import annotations

import pytest
from callcount.__main__ import main


@pytest.mark.parametrize("seconds", ["soon", "nan", "-1", "inf"])
def test_a_time_that_makes_no_sense_is_wrong_usage(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["sched:sched_switch", "--", seconds])
    assert seconds in capsys.readouterr().err


def test_a_name_that_is_no_tracepoint_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["switches"]) == 1
    assert "callcount: 'switches' is not the name of a tracepoint" in capsys.readouterr().err
