"""Each test of the original is kept by one here."""

import importlib
from collections import Counter
from pathlib import Path

from tests.original.names import NAMES


def test_each_of_the_45_is_kept_once() -> None:
    """None is forgotten, and none is counted twice."""
    kept = Counter[str]()
    for path in Path(__file__).parent.glob("test_*.py"):
        module = importlib.import_module(f"tests.original.{path.stem}")
        for test in vars(module).values():
            kept.update(getattr(test, "kept", ()))
    names = [f"{group}.{name}" for group, several in NAMES.items() for name in several]
    assert len(names) == 45
    assert kept == Counter(names)
