"""What the page looks like: its colours in the light and in the dark, and the key to its marks."""

from __future__ import annotations

from typing import Final

__all__ = ["KEY", "PALETTES", "palette_css"]

PALETTES: Final[dict[str, dict[str, str]]] = {
    "light": {
        "paper": "#ffffff",
        "plot": "#fbfbfc",
        "ink": "#1c1e21",
        "faint": "#5b6067",
        "grid": "#e4e6ea",
        "axis": "#a6abb3",
        "ring": "#454a52",
        "watermark": "#9a4b00",
        "cursor": "#7a3fa0",
        "fill": "#2b5c8a",
        "fillarea": "rgba(70,130,180,0.25)",
        "wake": "#0061b5",
        "spurious": "#a0378a",
        "drain": "#00714f",
        "lost": "#c40d1e",
        "latency": "#3d6b8f",
        "band": "rgba(196,13,30,0.55)",
        "bandarea": "rgba(196,13,30,0.10)",
        "label": "rgba(255,255,255,0.8)",
    },
    "dark": {
        "paper": "#16181c",
        "plot": "#1b1e23",
        "ink": "#e8eaed",
        "faint": "#a5abb4",
        "grid": "#30343b",
        "axis": "#666c76",
        "ring": "#c3c8d0",
        "watermark": "#ffb35c",
        "cursor": "#cfa2f2",
        "fill": "#8cc0ee",
        "fillarea": "rgba(120,175,230,0.25)",
        "wake": "#6db9ff",
        "spurious": "#f08fd8",
        "drain": "#4fd1a1",
        "lost": "#ff6b70",
        "latency": "#9cc7e8",
        "band": "rgba(255,107,112,0.6)",
        "bandarea": "rgba(255,107,112,0.14)",
        "label": "rgba(22,24,28,0.8)",
    },
}
"""The colours by name, for a light and a dark page. On either, texts have a contrast of 4.5 and more."""


def palette_css() -> str:
    """The palettes as custom properties of the page."""
    light, dark = (";".join(f"--{name}:{value}" for name, value in PALETTES[theme].items()) for theme in PALETTES)
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _symbol(shape: str, text: str) -> str:
    return f'<li><svg viewBox="0 0 24 16" aria-hidden="true">{shape}</svg>{text}</li>'


def _line(color: str, dash: str) -> str:
    return f'<path d="M0 8H24" stroke="var(--{color})" stroke-width="2" stroke-dasharray="{dash}"/>'


KEY: Final = "\n".join(
    [
        '<ul class="key" aria-label="What the marks mean">',
        _symbol(
            '<path d="M0 14H9V4H24" fill="none" stroke="var(--fill)" stroke-width="2"/>', "bytes that wait in the ring"
        ),
        _symbol(_line("ring", ""), "size of the ring"),
        _symbol(_line("watermark", "7 3"), "watermark"),
        _symbol(_line("cursor", "2 3"), "the next wake comes above this: wakeup cursor + watermark"),
        _symbol('<path d="M12 1L20 15H4Z" fill="var(--wake)"/>', "reader woken"),
        _symbol(
            '<path d="M12 1L19 8L12 15L5 8Z" fill="none" stroke="var(--spurious)" stroke-width="2"/>',
            "woken for nothing",
        ),
        _symbol('<path d="M12 15L20 1H4Z" fill="var(--drain)"/>', "ring drained"),
        _symbol('<path d="M5 1L19 15M19 1L5 15" stroke="var(--lost)" stroke-width="4"/>', "records lost"),
        _symbol(
            '<path d="M0 0H24V16H0Z" fill="var(--bandarea)"/><path d="M2 16L14 0M10 16L22 0" stroke="var(--lost)"/>',
            "stalled: nobody wakes the reader",
        ),
        "</ul>",
    ]
)
"""The marks and what they mean, as a list of HTML."""
