"""Figures as a page: docs/benchmarks.md with its pictures, of the JSON in docs/benchmarks."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from goals import Race, goals
from picture import picture

HEAD = (
    "# Benchmarks\n\n"
    "What the package costs, beside others that do a part of the same, and beside what the machine can "
    "do at all. `make bench` repeats it all in half an hour at most and writes this page; `make "
    "bench ARGS=--quick` only shows that the scripts work. Contestants take turns within one run, each "
    "figure is the median of its turns, of which frames that take tens of milliseconds have more, and a "
    "line in a bar is the spread from the least to the most. Waiting has had one turn or two, with all "
    "numbers of waits (`bench/waiting.py --all`); those of 10,000 on disk are of a later run than the "
    "others.\n\n"
    "**Only ratios travel to other machines.** A ratio is that of a contestant to the first one of its "
    "table, in the same turn. These figures are from {machine}. Peers are in the versions that "
    "`bench/constraints.txt` pins. S3 is a small server in memory, in a process of its own, that is "
    "fast enough not to be what is measured: what a network and S3 themselves take comes on top, for "
    "all alike.\n"
)
NOTE = (
    "\n"
    "Waits of `S3KeyTrigger` end at 1,000: it takes 1.4 MiB for each, and does not keep up with a look a "
    "second. It sends a request for each wait and look, so that 10,000 waits would send a hundred times "
    "those of 100; that is what the goal compares with.\n"
)
PARTS = {
    "waiting": (
        "Waiting",
        (
            "Triggers in one event loop wait for targets, while another process commits some of them. "
            "Processor time and requests are those of waiting alone; the delay is that from the moment "
            "at which a commit can be seen to the event. `DirectoryFileDeleteTrigger` shares one look "
            "at its folder among all waits, and deletes what it finds.\n\n"
            "What Python's garbage collections take of the loop is told apart. A full one goes over all that "
            "Airflow has imported, 170,000 objects, and over all waits; our first wait in a process makes "
            "them rarer ([](adr/0038-a-triggerer-collects-garbage-more-rarely.md))."
        ),
    ),
    "small": (
        "Small targets on disk",
        (
            "A commit makes two files and syncs both with their folders, so that it survives a loss of "
            "power; it also looks twice whether somebody newer is there, and announces itself. Nobody "
            "else does any of that. What is written stays until the end of the run: ext4 makes new files "
            "slowly for minutes after many were removed, whoever removed them."
        ),
    ),
    "large": (
        "Large targets on disk",
        (
            "A commit hashes what it writes, beside the writing. The hash is shown apart, since nobody "
            "else has one."
        ),
    ),
    "objects": (
        "Targets in S3",
        (
            "Five requests make a commit: two looks, the data, the record, the announcement. Prices are"
            " S3's public ones: $0.005 for 1,000 of PUT, POST and LIST, $0.0004 for 1,000 of GET and "
            "HEAD. The server runs on the same two processors: where they are busy throughout, as when a "
            "GiB is read, it lacks what hashing takes, half a second a GiB."
        ),
    ),
    "frames": (
        "Frames",
        (
            "A million mixed rows, written and read, beside plain calls of the same library that hash "
            "the file afterwards, in the same turn: one is no cost at all. Parquet is in 120 turns of a run "
            "of its own: what takes 50 ms differs from run to run, reading it by polars from 1.03 to 1.16."
        ),
    ),
    "starting": (
        "Starting",
        (
            "Each figure is a fresh process's, which finds everything compiled. Neither Airflow itself is "
            "counted, nor are its modules that a DAG file names, nor what our plugin imports: the "
            "dag-processor of Airflow 3.3 has all that before it forks a process for a file. Before 3.3 it "
            "loads no plugins then, and importing our sensors adds 4 to 5 ms to a file."
        ),
    ),
    "resuming": (
        "Resuming",
        (
            "Airflow runs with a scheduler, a triggerer and workers of its own, and tasks wait in it, "
            "looking every five seconds. The time is that from the moment at which the data is there to "
            "the first line of the task that waited for it. Most of it is Airflow's: its triggerer writes "
            "the event down, its scheduler finds that, and a worker starts."
        ),
    ),
}
PICTURES = (
    "Wait on disk, 10,000 at 5 s: processor time",
    "Wait on s3, 1,000 at 1 s: requests",
    "Wait on s3, 1,000 at 1 s: from commit to event, median",
    "Commit 1 KiB to disk, 32 at once",
    "Commit 256 MiB to disk",
    "Commit 256 MiB to S3",
    "Read 256 MiB from S3",
    "Write a frame",
    "Read a frame",
    "Parse a DAG file with 100 sensors",
    "From the data to the first line of the task that waited",
)


def write_page(docs: Path) -> None:
    """Write the page and its pictures."""
    folder = docs / "benchmarks"
    found = {
        name: json.loads(file.read_text()) for name in PARTS if (file := folder / f"{name}.json").exists()
    }
    races = {race["name"]: race for part in found.values() for race in part["races"]}
    for old in folder.glob("*.svg"):
        old.unlink()
    parts = [HEAD.format(machine=machine_of(found)), goals(races)]
    for name, part in found.items():
        title, text = PARTS[name]
        parts += [f"\n## {title}\n\n{text}\n", NOTE if name == "waiting" else ""]
        for heading, several in groupby(part["races"], key=lambda race: race["name"].partition(": ")[0]):
            parts.append(f"\n### {heading}\n")
            parts += section(list(several), folder)
    (docs / "benchmarks.md").write_text("".join(parts))


def machine_of(found: Mapping[str, Any]) -> str:
    machine = next(iter(found.values()))["machine"]
    return f"{machine['system']} with {machine['processors']} cores and Python {machine['python']}"


def section(races: Sequence[Race], folder: Path) -> Iterator[str]:
    """Yield the pictures of what was measured together, and one table."""
    for race in races:
        if race["name"] in PICTURES:
            name = re.sub("[^a-z0-9]+", "-", race["name"].lower()) + ".svg"
            (folder / name).write_text(picture(race))
            yield f"\n![{race['name']}, in {race['unit']}](benchmarks/{name})\n"
    lines = table(races[0]) if len(races) == 1 else metrics(races)
    yield "\n" + "\n".join(lines) + "\n"


def metrics(races: Sequence[Race]) -> Iterator[str]:
    """Yield one table of several races between the same contestants: a line a metric, with its ratios."""
    names = list(dict.fromkeys(row["name"] for race in races for row in race["rows"]))
    yield "| | " + " | ".join(f"{name} | ratio" for name in names) + " |"
    yield "| --- |" + " ---: | ---: |" * len(names)
    for race in races:
        rows = {row["name"]: row for row in race["rows"]}
        cells = [
            f"{short(rows[name]['median'])} | {short(rows[name]['ratio'])}" if name in rows else "– | –"
            for name in names
        ]
        yield f"| {race['name'].partition(': ')[2]}, {race['unit']} | " + " | ".join(cells) + " |"


def table(race: Race) -> Iterator[str]:
    with_ratio = any(row["ratio"] is not None for row in race["rows"])
    with_cpu = any(row["cpu"] is not None for row in race["rows"])
    more = " ratio | from … to |" * with_ratio
    more += f" processor, {race['cpu_unit']} | memory, MiB |" * with_cpu
    yield f"| | {race['unit']} | from … to |{more}"
    yield "| --- | ---: | ---: |" + " ---: | ---: |" * (with_ratio + with_cpu)
    for row in race["rows"]:
        line = f"| {row['name']} | {short(row['median'])} | {short(row['least'])} … {short(row['most'])} |"
        if with_ratio:
            line += f" {short(row['ratio'])} | {short(row['ratio_least'])} … {short(row['ratio_most'])} |"
        if with_cpu:
            line += f" {short(row['cpu'])} | {row['memory']:,.0f} |" if row["cpu"] is not None else " | |"
        yield line


def short(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
