"""The page in a browser: that it is drawn, and that people can read it.

The browser is told what to do by `tests.browser.chromium`; these tests are skipped where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.chromium import Browser

STALLED = "run1-0-0"
TROUBLE = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}


def _hover(browser: Browser, figure: str, trace: str, point: int) -> list[str]:
    """The lines of text that hovering over a point of a trace shows."""
    browser.evaluate(f"""(() => {{
        const plot = document.getElementById({figure!r});
        const curve = plot.data.findIndex((trace) => trace.name === {trace!r});
        Plotly.Fx.hover(plot, [{{curveNumber: curve, pointNumber: {point}}}]);
    }})()""")
    shown = f"document.querySelectorAll('#{figure} .hoverlayer .nums tspan, #{figure} .hoverlayer text.nums')"
    lines: list[str] = browser.evaluate(f"[...{shown}].filter((n) => !n.children.length).map((n) => n.textContent)")
    return lines


def test_every_ring_is_drawn_and_nothing_is_complained_about(browser: Browser) -> None:
    assert browser.evaluate("document.querySelectorAll('.plot .main-svg .scatterlayer .trace').length") >= 4 * 5
    assert browser.evaluate("document.querySelectorAll('.plot > .plot-container').length") == 4
    assert not [event for event in browser.events if event.get("method") in TROUBLE]


def test_nothing_but_the_page_itself_is_fetched(browser: Browser) -> None:
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [browser.evaluate("location.href")]


def test_the_policy_refuses_what_the_page_does_not_bring(browser: Browser) -> None:
    assert browser.evaluate("fetch('data:,x').then(() => 'fetched', () => 'refused')") == "refused"


def test_a_title_that_is_a_script_is_text(browser: Browser) -> None:
    title = browser.evaluate("document.title")
    assert title.startswith("Runs </script><script>")
    assert title == browser.evaluate("document.querySelector('h1').textContent")


def test_hovering_over_the_fill_tells_its_numbers(browser: Browser) -> None:
    assert _hover(browser, "run0-0-0", "fill", 1) == [
        "0.01 ms",
        "used 56 of 4,096 bytes",
        "head 56",
        "tail 0",
        "next wake in 1,993 bytes",
    ]


def test_hovering_over_a_wake_tells_its_level(browser: Browser) -> None:
    assert _hover(browser, "run0-0-0", "woken", 0) == ["0.37 ms", "woken at 2,072 bytes"]


def test_hovering_over_a_loss_tells_how_many(browser: Browser) -> None:
    assert _hover(browser, STALLED, "lost", 0) == ["0.74 ms", "1 record lost, for want of room"]


def test_a_stalled_run_has_a_banner_that_is_seen_first(browser: Browser) -> None:
    banner = browser.evaluate("""(() => {
        const banner = document.querySelector('.banner'), plot = document.getElementById('run1-0-0');
        const seen = banner.getBoundingClientRect();
        return [banner.innerText, seen.height > 20, seen.bottom <= plot.getBoundingClientRect().top];
    })()""")
    assert banner[0].startswith("STALLED. From 740 µs on nobody wakes the reader.")
    assert banner[1:] == [True, True]


def test_the_band_of_a_stall_is_hatched_and_named(browser: Browser) -> None:
    assert browser.evaluate(f"document.querySelectorAll('#{STALLED} pattern').length") >= 1
    assert "nobody wakes" in browser.evaluate(f"document.querySelector('#{STALLED}').textContent")
    assert browser.evaluate("document.querySelectorAll('#run0-0-0 pattern').length") == 0


@pytest.mark.parametrize("width", [320, 400, 800, 1600])
def test_no_window_scrolls_sideways(opened: Callable[[int, str], Browser], width: int) -> None:
    browser = opened(width, "light")
    assert browser.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    ends = "[...document.querySelectorAll('.plot .main-svg')].map((svg) => svg.getBoundingClientRect().right)"
    assert max(browser.evaluate(ends)) <= width


def test_two_kernels_stand_side_by_side_where_there_is_room(opened: Callable[[int, str], Browser]) -> None:
    sides = "[...document.querySelectorAll('#run0 article')].map((side) => side.getBoundingClientRect().left)"
    wide, narrow = (opened(width, "light").evaluate(sides) for width in (1600, 400))
    assert wide[0] < wide[1]
    assert narrow[0] == narrow[1]


def test_a_window_made_narrow_draws_narrow_pictures(browser: Browser) -> None:
    browser.window(500)
    browser.until("document.querySelector('#run0-0-0 .main-svg').getBoundingClientRect().width <= 500")
    assert browser.evaluate("document.documentElement.scrollWidth") == 500


COLOURS = """[
    getComputedStyle(document.body).backgroundColor,
    getComputedStyle(document.body).color,
    document.getElementById('run0-0-0').layout.paper_bgcolor,
    document.querySelector('#run0-0-0 .main-svg').style.background,
]"""


def test_light_and_dark_have_colours_of_their_own(opened: Callable[[int, str], Browser]) -> None:
    light, dark = (opened(800, scheme).evaluate(COLOURS) for scheme in ("light", "dark"))
    assert light[0] == light[3] == "rgb(255, 255, 255)"
    assert dark[0] == dark[3] == "rgb(22, 24, 28)"
    assert all(one != other for one, other in zip(light, dark, strict=True))


def test_a_change_to_dark_changes_the_open_page(browser: Browser, opened: Callable[[int, str], Browser]) -> None:
    browser.scheme("dark")
    browser.until("document.documentElement.dataset.drawn === 'dark'")
    changed = browser.evaluate(COLOURS)
    assert changed == opened(1600, "dark").evaluate(COLOURS)


def test_a_change_to_dark_keeps_what_was_zoomed_into(browser: Browser) -> None:
    ends = "document.getElementById('run0-0-0').layout.xaxis.range"
    whole = browser.evaluate(ends)
    browser.evaluate("document.querySelector('#run0-0-0 [data-title=\"Zoom in\"]').click()")
    zoomed = browser.evaluate(ends)
    browser.scheme("dark")
    browser.until("document.documentElement.dataset.drawn === 'dark'")
    assert browser.evaluate(ends) == zoomed != whole


def test_no_button_sends_data_away(browser: Browser) -> None:
    titles = browser.evaluate("[...document.querySelectorAll('#run0-0-0 .modebar-btn')].map((b) => b.dataset.title)")
    assert len(titles) == 6
    assert not [title for title in titles if "loud" in title or "hare" in title or "dit" in title]


def test_a_dark_page_is_printed_in_the_light(opened: Callable[[int, str], Browser]) -> None:
    browser = opened(1600, "dark")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate("document.getElementById('run0-0-0').layout.paper_bgcolor") == "#ffffff"
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    browser.until("document.documentElement.dataset.drawn === 'dark'")
    assert browser.evaluate("document.getElementById('run0-0-0').layout.paper_bgcolor") == "#16181c"


def test_paper_has_the_numbers_that_a_screen_hides(browser: Browser) -> None:
    unfolded = "[...document.querySelectorAll('figcaption details')].filter((numbers) => numbers.open).length"
    before = browser.evaluate(unfolded)
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    printed = browser.evaluate(unfolded)
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert (before, printed, browser.evaluate(unfolded)) == (0, 4, 0)


def test_who_listens_finds_names_for_everything(browser: Browser) -> None:
    tree: list[dict[str, Any]] = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if "role" in node}
    assert sum(role == "image" and name.startswith("Picture of CPU 0") for role, name in named) >= 3
    assert {"banner", "main", "navigation"} <= {role for role, _ in named}


def test_the_keyboard_reaches_the_numbers(browser: Browser) -> None:
    browser.evaluate(f"document.querySelector('#{STALLED}').parentElement.querySelector('summary').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    shown = f"document.querySelector('#{STALLED}').parentElement.querySelector('table').innerText"
    assert "Stalled since\t740 µs" in browser.evaluate(shown)
