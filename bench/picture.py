"""A race as a picture: a bar for each contestant, with the spread of its figures.

The colours are readable on a light page and on a dark one, so that a picture needs to know nothing of it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

WIDTH, NAMES, BAR, GAP, TOP = 760, 330, 18, 10, 44
ROOM = WIDTH - NAMES - 110  # for the longest bar; figures stand behind the bars
TEXT, OURS, THEIRS, LIMIT, SPREAD = "#7d8590", "#2f81f7", "#9a8c98", "#57ab5a", "#7d8590"
FAR = 50  # from this factor between the longest and the shortest on, bars are logarithmic


def picture(race: Mapping[str, Any]) -> str:
    """Return the SVG of a race."""
    rows = race["rows"]
    height = TOP + len(rows) * (BAR + GAP)
    length, scale = scaled(rows)
    better = "more is better" if race["more_is_better"] else "less is better"
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
    font = f'font-family="sans-serif" font-size="12" fill="{TEXT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" {font}>',
        f"<title>{escape(race['name'])}</title>",
        f'<text x="0" y="14" font-size="14" font-weight="bold">{escape(race["name"])}</text>',
        f'<text x="0" y="31">{escape(race["unit"])}; {better}{scale}</text>',
    ]
    for number, row in enumerate(rows):
        lines += bar(row, TOP + number * (BAR + GAP), length)
    return "\n".join([*lines, "</svg>", ""])


def bar(row: Mapping[str, Any], top: float, length: Callable[[float], float]) -> list[str]:
    """Return the bar of one contestant."""
    middle, text = top + BAR / 2, top + BAR / 2 + 4
    least, most, end = length(row["least"]), length(row["most"]), length(row["median"])
    figure = f"{row['median']:,.4g}" if row["median"] < 1000 else f"{row['median']:,.0f}"
    return [
        f'<text x="{NAMES - 8}" y="{text:g}" text-anchor="end">{escape(row["name"])}</text>',
        f'<rect x="{NAMES}" y="{top:g}" width="{end:.1f}" height="{BAR}" fill="{colour(row["name"])}"/>',
        f'<path d="M{NAMES + least:.1f} {middle:g}H{NAMES + most:.1f}" stroke="{SPREAD}" stroke-width="2"/>',
        f'<text x="{NAMES + max(end, most) + 6:.1f}" y="{text:g}">{figure}</text>',
    ]


def colour(name: str) -> str:
    """Return ours, that of a limit, or that of a peer."""
    if name.startswith(("limit", "asyncio", "sha256", "plain")):
        return LIMIT
    own = ("TargetStore", "FileTargetTrigger", "DiveSensorAsync", "ArrivalSensorAsync", "fileflow_async")
    return OURS if name.startswith(own) else THEIRS


def scaled(rows: list[Mapping[str, Any]]) -> tuple[Callable[[float], float], str]:
    """Return how long the bar of a figure is, and what to say of that."""
    most = max(row["most"] for row in rows) or 1.0
    least = min((row["least"] for row in rows if row["least"] > 0), default=most)
    if most / least < FAR:
        return lambda figure: ROOM * figure / most, ""
    begin = math.log10(least) - 0.3

    def length(figure: float) -> float:
        if figure <= 0:
            return 0.0
        return ROOM * (math.log10(figure) - begin) / (math.log10(most) - begin)

    return length, "; the bars are logarithmic"
