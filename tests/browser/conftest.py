"""One browser for all tests; each test finds the page that it wants open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perfring.picture import Table, write_page
from perfring.timeline import Timeline
from tests.browser.chromium import Browser, find_chromium
from tests.unit.timelines import healthy, late, stalled

LONG = "a_name_without_a_place_to_break_it_" * 4
NASTY = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, or a skip that says why there is none."""
    command = find_chromium()
    if command is None:
        pytest.skip("no chromium on PATH: on Debian, apt-get install chromium")
    with Browser(command) as browser:
        yield browser


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of run on one page, with texts that try to break it."""
    path = tmp_path_factory.mktemp("pictures") / "all of it.html"
    write_page(_runs(), path, title=f"Runs {NASTY}", tables=[Table(LONG, ("a",) * 12, ((LONG,) * 12,))])
    return path


def _runs() -> list[Timeline]:
    pair = [healthy(title="two kernels"), replace(healthy(title="two kernels"), kernel=NASTY, facts={LONG: LONG})]
    return [*pair, stalled(watermark=4088), late(title=LONG)]


@pytest.fixture
def browser(chromium: Browser, page: Path) -> Browser:
    """The page in a wide window, in the light."""
    return _opened(chromium, page, 1600, "light")


@pytest.fixture
def opened(chromium: Browser, page: Path) -> Callable[[int, str], Browser]:
    """Opens the page in a window so wide, in a scheme of colours."""
    return lambda width, scheme: _opened(chromium, page, width, scheme)


def _opened(browser: Browser, page: Path, width: int, scheme: str) -> Browser:
    browser.window(width)
    browser.scheme(scheme)
    browser.open(page)
    return browser
