import importlib
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def race(load: Any, name: str, figures: dict[str, list[float]], **options: Any) -> dict[str, Any]:
    racing = load("racing")
    made = racing.Race(name, "commits a second", {}, **options)
    made.laps = {who: [racing.Lap(figure) for figure in several] for who, several in figures.items()}
    result: dict[str, Any] = made.result()
    return result


async def test_contestants_take_turns(load: Any) -> None:
    """What else the machine does hits all of them."""
    racing, came = load("racing"), []

    def contestant(name: str) -> Any:
        async def turn() -> Any:
            came.append(name)
            return racing.Lap(1.0)

        return turn

    await racing.Race("r", "s", {"a": contestant("a"), "b": contestant("b")}, rounds=2).run()
    assert came == ["a", "b", "a", "b"]


def test_a_ratio_is_that_to_the_first_contestant_in_the_same_turn(load: Any) -> None:
    """A machine that is slower in one turn than in another has the same ratios in both."""
    rows = race(load, "r", {"limit": [10.0, 1.0], "ours": [5.0, 0.5]})["rows"]
    assert [(row["ratio"], row["ratio_least"], row["ratio_most"]) for row in rows] == [
        (1, 1, 1),
        (0.5, 0.5, 0.5),
    ]
    assert (rows[1]["median"], rows[1]["least"], rows[1]["most"]) == (2.75, 0.5, 5.0)


def test_what_is_a_ratio_already_is_not_compared_once_more(load: Any) -> None:
    """Each format of a frame has a plain call of its own; that of another says nothing about it."""
    found = race(load, "Read a frame", {"csv": [0.5, 0.4], "arrow": [1.0, 1.5]}, of_ratios=True)
    assert [row["ratio"] for row in found["rows"]] == [None, None]
    assert list(load("page").table(found)) == [
        "| | commits a second | from … to |",
        "| --- | ---: | ---: |",
        "| csv | 0.45 | 0.4 … 0.5 |",
        "| arrow | 1.25 | 1 … 1.5 |",
    ]
    assert "×" not in load("racing").table(found)


def test_the_spread_of_a_frame_is_that_of_its_turns(load: Any) -> None:
    """Each turn compares what was measured in it."""
    frames = load("frames")
    times = {
        "plain read": [(1.0, 1.0), (2.0, 2.0)],
        "hash": [(1.0, 1.0), (2.0, 2.0)],
        "ours read": [(2.0, 2.0), (2.0, 2.0)],
    }
    rows = frames.race_of("read", [frames.row_of("csv", "polars", "read", times, 1.0)])["rows"]
    assert [(row["name"], row["median"], row["least"], row["most"]) for row in rows] == [
        ("csv, polars", 0.75, 0.5, 1.0)
    ]


@pytest.mark.parametrize("figures", [[1.0, 2.0], [1.0, 1e6], [0.0, 3.0], [0.0, 0.0]])
def test_a_picture_is_whole_and_all_its_bars_fit(load: Any, figures: list[float]) -> None:
    """Whatever was measured, nothing at all included."""
    picture = load("picture")
    drawn = picture.picture(
        race(load, 'a < b & "c"', dict(zip("<>", ([each] for each in figures), strict=True)))
    )
    bars = ET.fromstring(drawn).findall("{http://www.w3.org/2000/svg}rect")  # noqa: S314
    assert len(bars) == 2
    assert all(0 <= float(bar.attrib["width"]) <= picture.ROOM for bar in bars)


def test_a_goal_tells_what_was_reached_and_whether_that_will_do(load: Any) -> None:
    """One that nobody has measured is neither."""
    goals, where = load("goals"), "Commit 1 KiB to disk, 32 at once"
    told = {
        figure: goals.goals({where: race(load, where, {"limit": [2000.0], "TargetStore": [figure]})})
        for figure in (499.0, 501.0)
    }
    assert "| at least 500 | 499 | no |" in told[499.0]
    assert "| at least 500 | 501 | yes |" in told[501.0]
    assert told[501.0].count("| – | – |") == len(goals.GOALS) - 1


def test_a_page_shows_every_race_and_the_pictures_of_some(load: Any, tmp_path: Path) -> None:
    """What it links to is there; pictures of an earlier page are not."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/old.svg").touch()
    drawn = race(load, "Commit 1 KiB to disk, 32 at once", {"limit": [2.0], "TargetStore": [1.0]})
    plain = race(load, "Read 1 KiB from disk, one at a time", {"limit": [2.0], "TargetStore": [1.0]})
    figures = {"machine": load("racing").machine(), "races": [drawn, plain]}
    (tmp_path / "benchmarks/small.json").write_text(json.dumps(figures))
    load("page").write_page(tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert "(benchmarks/commit-1-kib-to-disk-32-at-once.svg)" in text
    assert [file.name for file in tmp_path.rglob("*.svg")] == ["commit-1-kib-to-disk-32-at-once.svg"]
    assert "### Read 1 KiB from disk, one at a time" in text
    assert "| TargetStore | 1 | 1 … 1 | 0.5 | 0.5 … 0.5 |" in text
