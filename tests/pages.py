"""The pages of the documentation, and what is written between fences on them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))

_FENCE = re.compile(r"^```(\{?[\w-]+\}?)(?: (\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What is another one each time: names of attempts, moments.
_CHANGING = (
    (re.compile(r"\d{8}T\d{9}Z-t(\d\d)-[0-9a-f]{12}"), r"TOKEN-t\1"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{3})?(Z|\+00:00)"), "MOMENT"),
    (re.compile(r" +"), " "),
)


@dataclass(frozen=True)
class Block:
    """What is between two fences.

    Attributes:
        language: The word behind the first fence; of a directive, with its braces.
        argument: What stands behind that, such as the file that is included.
    """

    page: Path
    line: int
    language: str
    argument: str
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of a page in these languages, or in all."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2] or "", found[3])
        for found in _FENCE.finditer(text)
        if not languages or found[1] in languages
    ]


def steady(text: str) -> list[str]:
    """Return the lines of what was printed, with a word for what is another one each time."""
    for pattern, instead in _CHANGING:
        text = pattern.sub(instead, text)
    return [line.rstrip() for line in text.splitlines()]
