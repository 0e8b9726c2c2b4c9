"""Contestants that take turns, so that what else the machine does hits all of them.

Every script of the benchmarks hands its races to `run`, which knows the options, prints the tables and writes
the JSON; that has one shape whatever is measured:

    {"machine": {…}, "races": [{"name", "unit", "more_is_better", "rows": [
        {"name", "median", "least", "most", "ratio", "ratio_least", "ratio_most", "cpu", "memory"}]}]}

A ratio is that of a contestant to the first one of its race in the same turn; ratios travel to other
machines, figures do not. Where the figures are ratios themselves, there are no others: they are null.
"""

import argparse
import asyncio
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

MIB = 1024 * 1024
Rows = list[dict[str, Any]]


@dataclass
class Lap:
    """What one contestant did in one turn.

    Attributes:
        figure: What the race is about.
        cpu: Processor time for one piece of work; None where other processes did it.
        memory: MiB on top of what the process had before; None as well.
    """

    figure: float
    cpu: float | None = None
    memory: float | None = None


Contestant = Callable[[], Awaitable[Lap]]


@dataclass
class Race:
    """Contestants for one thing, the first of which is what the others are compared with.

    Attributes:
        of_ratios: Whether each figure compares its contestant already, with something of its own.
    """

    name: str
    unit: str
    contestants: Mapping[str, Contestant]
    cpu_unit: str = ""
    more_is_better: bool = True
    of_ratios: bool = False
    rounds: int = 5
    laps: dict[str, list[Lap]] = field(default_factory=dict)

    async def run(self, rounds: int | None = None) -> None:
        """Let them take turns."""
        for _ in range(rounds or self.rounds):
            for name, contestant in self.contestants.items():
                self.laps.setdefault(name, []).append(await contestant())
                print(".", end="", file=sys.stderr, flush=True)

    def result(self) -> dict[str, Any]:
        """Return the medians, and how they compare, as they are written."""
        first = [each.figure for each in next(iter(self.laps.values()))]
        base = None if self.of_ratios else first
        return {
            "name": self.name,
            "unit": self.unit,
            "cpu_unit": self.cpu_unit,
            "more_is_better": self.more_is_better,
            "rows": [row(name, laps, base) for name, laps in self.laps.items()],
        }


class Watch:
    """What passes within a block: time, processor time, and the most memory on top."""

    def __enter__(self) -> Self:
        self._most, self._before, self._done = 0, resident(), threading.Event()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()
        self._began, self._used = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self.cpu = time.process_time() - self._used
        self._done.set()
        self._looking.join()
        self.memory = max(0, self._most - self._before) / MIB

    def _look(self) -> None:
        while not self._done.wait(0.005):
            self._most = max(self._most, resident())

    def moved(self, size: int) -> Lap:
        """Return MiB a second, and processor seconds for a GiB."""
        return Lap(size / MIB / self.seconds, self.cpu / size * 1024 * MIB, self.memory)

    def done(self, count: int) -> Lap:
        """Return how many a second, and processor milliseconds for one."""
        return Lap(count / self.seconds, 1000 * self.cpu / count, self.memory)


def resident() -> int:
    """Return how many bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def row(name: str, laps: Sequence[Lap], base: Sequence[float] | None) -> dict[str, Any]:
    """Return the figures of one contestant, with how they compare to those of the first, if they do."""
    figures = [each.figure for each in laps]
    ratios = None
    if base is not None:
        ratios = [figure / other if other else 0.0 for figure, other in zip(figures, base, strict=True)]
    found = {
        "name": name,
        "median": statistics.median(figures),
        "least": min(figures),
        "most": max(figures),
        "ratio": ratios and statistics.median(ratios),
        "ratio_least": ratios and min(ratios),
        "ratio_most": ratios and max(ratios),
        "cpu": median_of(each.cpu for each in laps),
        "memory": median_of(each.memory for each in laps),
    }
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in found.items()}


def median_of(figures: Iterable[float | None]) -> float | None:
    known = [each for each in figures if each is not None]
    return statistics.median(known) if known else None


def table(race: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    lines = [f"\n{race['name']} ({race['unit']})"]
    for each in race["rows"]:
        lines.append(
            f"  {each['name']:<52}{each['median']:>9,.4g}  ({each['least']:,.4g} to {each['most']:,.4g})"
        )
        if each["ratio"] is not None:
            spread = f"({each['ratio_least']:.3g} to {each['ratio_most']:.3g})"
            lines[-1] += f"{each['ratio']:>10.3g} × {spread}"
        if each["cpu"] is not None:
            lines[-1] += f"  cpu {each['cpu']:.3g} {race['cpu_unit']}, {each['memory']:.0f} MiB"
    return "\n".join(lines)


async def rate(one: Callable[[int], Awaitable[object]], count: int, at_once: int) -> Lap:
    """Find out how many of them can be done in a second."""
    await one(-1)  # whatever happens only once
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    with Watch() as watch:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(worker())
    return watch.done(count)


def machine() -> dict[str, Any]:
    """Return what the figures were made on."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processors": os.cpu_count(),
    }


def write(path: Path | None, races: Sequence[Mapping[str, Any]]) -> None:
    """Write all figures as JSON, where a file was asked for."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), "races": races}, indent=1) + "\n")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return the options that all scripts have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: proves that it works")
    parser.add_argument("--rounds", type=int, help="turns of each contestant")
    parser.add_argument("--only", default="", metavar="TEXT", help="races whose name has that text")
    parser.add_argument("--directory", type=Path, help="on which disk; by default where temporary files go")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures, too")
    return parser


Races = Callable[[Path, bool], AbstractAsyncContextManager[AsyncIterator[Race]]]


def run(description: str | None, races: Races) -> None:
    """Be a script: run the races that `races` yields for a directory, and whether it should be quick."""
    options = arguments(description).parse_args()
    logging.getLogger("fileflow_async").setLevel(logging.ERROR)  # it warns of what is meant here
    asyncio.run(_run(options, races))


async def _run(options: argparse.Namespace, races: Races) -> None:
    found = []
    with tempfile.TemporaryDirectory(prefix="fileflow-bench-", dir=options.directory) as name:
        async with races(Path(name), options.quick) as each:
            async for race in each:
                if options.only not in race.name:
                    continue
                await race.run(options.rounds or (1 if options.quick else None))
                found.append(race.result())
                print(table(found[-1]), flush=True)
    write(options.json, found)
