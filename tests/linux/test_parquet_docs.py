"""docs/parquet.md: its first command is recorded, and its queries run on that."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.linux.test_record_live import run

duckdb = pytest.importorskip("duckdb")

PAGE = (Path(__file__).parents[2] / "docs" / "parquet.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the first command of the page was run, with fewer files to find."""
    folder = tmp_path_factory.mktemp("recorded")
    command = re.search(r"\$ perfring record (.*)", PAGE)
    assert command is not None
    words = shlex.split(command[1].replace("/usr", sys.prefix).replace("trace.parquet", str(folder / "trace.parquet")))
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_page_has_queries() -> None:
    assert len(QUERIES) == PAGE.count("```sql") == 4


@pytest.mark.parametrize(("query", "shown"), QUERIES)
def test_a_query_of_the_page_has_the_columns_and_types_that_it_shows(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, query: str, shown: str
) -> None:
    monkeypatch.chdir(recorded)
    with duckdb.connect() as connection:
        found = connection.sql(query)
        assert len(found) > 0
        names, types = (row.strip("│").split("│") for row in shown.splitlines()[1:3])
        assert [name.strip() for name in names] == found.columns
        assert [kind.strip() for kind in types] == [
            str(kind).lower().replace("bigint", "int64") for kind in found.types
        ]


def test_whoever_was_preempted_inside_the_kernel_counts_as_preempted() -> None:
    states = "(SELECT unnest([0, 256, 1]) AS prev_state) AS fields"  # R, R+ and S, as `perf script` prints them
    query = QUERIES[0][0].replace("fields.prev_comm", "'x'").replace("'trace.parquet'", states)
    with duckdb.connect() as connection:
        assert connection.sql(query).fetchall() == [("x", 3, 2)]


def test_the_polars_query_runs(recorded: Path) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    # In a process of its own: Polars starts threads with descriptors, which stay.
    done = subprocess.run([sys.executable, "-c", code[1]], cwd=recorded, capture_output=True, text=True, check=True)
    assert "sort" in done.stdout
