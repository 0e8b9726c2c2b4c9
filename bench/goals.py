"""What is to be reached, and what was: medians of one run, by the names of races and contestants."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Race = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """One of them."""

    text: str
    limit: float
    reached: Callable[[Mapping[str, Race]], float]
    at_most: bool = False

    def line(self, races: Mapping[str, Race]) -> str:
        try:
            figure = self.reached(races)
        except KeyError:  # its script has not run
            return (
                f"| {self.text} | {'at most' if self.at_most else 'at least'} {_short(self.limit)} | – | – |"
            )
        good = figure <= self.limit if self.at_most else figure >= self.limit
        bound = f"{'at most' if self.at_most else 'at least'} {_short(self.limit)}"
        return f"| {self.text} | {bound} | {_short(figure)} | {'yes' if good else 'no'} |"


def of(races: Mapping[str, Race], race: str, name: str, *, what: str = "median") -> float:
    """Return a figure of a contestant whose name begins so."""
    rows: Sequence[Mapping[str, Any]] = races[race]["rows"]
    for row in rows:
        if row["name"].startswith(name):
            return float(row[what])
    raise KeyError(name)


def beside(race: str, ours: str, *theirs: str) -> Callable[[Mapping[str, Race]], float]:
    """Return ours as a multiple of the greatest of theirs."""
    return lambda races: of(races, race, ours) / max(of(races, race, name) for name in theirs)


def requests(races: Mapping[str, Race]) -> float:
    theirs = of(races, "Wait on s3, 100 at 5 s: requests", "Airflow S3KeyTrigger")  # it keeps up
    return 100 * theirs / of(races, "Wait on s3, 10,000 at 5 s: requests", "FileTargetTrigger")


def worst_frame(races: Mapping[str, Race]) -> float:
    rows = [row for name in ("Write a frame", "Read a frame") for row in races[name]["rows"]]
    return max(float(row["median"]) for row in rows if "XCom" not in row["name"])


WAIT = "Wait on disk, 10,000 at {} s: {}"
WITH_GC = "start, lag of the loop with garbage collections, most"
UP, DOWN = "Commit 256 MiB to S3", "Read 256 MiB from S3"
DOWN_LARGE = "Read 1 GiB from S3"
PARSE = "Parse a DAG file with 100 sensors"
GOALS = (
    Goal("10,000 waits in S3: requests of the peer, as a multiple of ours", 1000, requests),
    Goal(
        "10,000 waits on disk at 1 s: processor time, as a part of FileTrigger's",
        0.02,
        beside(WAIT.format(1, "processor time"), "FileTargetTrigger", "Airflow FileTrigger"),
        at_most=True,
    ),
    Goal(
        "10,000 waits on disk at 5 s: processor time, as a part of FileTrigger's",
        0.02,
        beside(WAIT.format(5, "processor time"), "FileTargetTrigger", "Airflow FileTrigger"),
        at_most=True,
    ),
    Goal(
        "10,000 waits on disk at 5 s: from commit to event, p99, in ms",
        50,
        lambda races: 1000 * of(races, WAIT.format(5, "from commit to event, p99"), "FileTargetTrigger"),
        at_most=True,
    ),
    Goal(
        "10,000 waits on disk at 1 s: lag of the loop at the start, at most, in ms",
        50,
        lambda races: of(races, WAIT.format(1, "start, lag of the loop, most"), "FileTargetTrigger"),
        at_most=True,
    ),
    Goal(
        "The same with Python's garbage collections",
        50,
        lambda races: of(races, WAIT.format(1, WITH_GC), "FileTargetTrigger"),
        at_most=True,
    ),
    Goal(
        "1,000 waits in S3: processor time, as a part of S3KeyTrigger's",
        0.01,
        beside("Wait on s3, 1,000 at 1 s: processor time", "FileTargetTrigger", "Airflow S3KeyTrigger"),
        at_most=True,
    ),
    Goal(
        "256 MiB to disk without the hash, as a part of a copy with fsync",
        0.8,
        beside("Commit 256 MiB to disk", "TargetStore, hash left out", "limit: copy (sendfile), fsync"),
    ),
    Goal(
        "256 MiB to disk without hash and sync, as a multiple of luigi's",
        1.0,
        beside("Commit 256 MiB to disk", 'TargetStore, durability="none"', "luigi"),
    ),
    Goal(
        "256 MiB to S3, as a part of the best of aiobotocore and s3fs",
        0.9,
        beside(UP, "TargetStore", "limit", "s3fs"),
    ),
    Goal(
        "256 MiB from S3, as a part of the best of aiobotocore and s3fs",
        0.9,
        beside(DOWN, "TargetStore", "limit", "s3fs"),
    ),
    Goal(
        "1 GiB from S3, as a part of the best of aiobotocore and s3fs",
        0.9,
        beside(DOWN_LARGE, "TargetStore (verified)", "limit", "s3fs"),
    ),
    Goal(
        "The same without the hash",
        0.9,
        beside(DOWN_LARGE, "TargetStore, hash left out", "limit", "s3fs"),
    ),
    Goal(
        "Commits of 1 KiB a second, on one loop, with fsync",
        500,
        lambda races: of(races, "Commit 1 KiB to disk, 32 at once", "TargetStore"),
    ),
    Goal(
        "Frames, the worst of all: time, as a multiple of plain calls and hashing",
        1.1,
        worst_frame,
        at_most=True,
    ),
    Goal(
        "Parsing 100 sensors, as a part of Airflow's ExternalTaskSensor",
        1.0,
        beside(PARSE, "DiveSensorAsync", "Airflow ExternalTaskSensor"),
        at_most=True,
    ),
    Goal(
        "Parsing 100 sensors, as a part of Airflow's S3KeySensor",
        1.0,
        beside(PARSE, "DiveSensorAsync", "Airflow S3KeySensor"),
        at_most=True,
    ),
    Goal(
        "Parsing 100 sensors, as a multiple of Airflow's FileSensor",
        1.0,
        beside(PARSE, "DiveSensorAsync", "Airflow FileSensor"),
        at_most=True,
    ),
)


def goals(races: Mapping[str, Race]) -> str:
    """Return all of them as a table."""
    lines = ["\n## Goals\n", "| | goal | reached | met |", "| --- | ---: | ---: | --- |"]
    return "\n".join([*lines, *(goal.line(races) for goal in GOALS)]) + "\n"


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
