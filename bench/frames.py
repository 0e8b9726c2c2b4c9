"""Write and read a million mixed rows in every format, beside plain calls of pandas, polars and pyarrow.

    python bench/frames.py [--quick] [--rows N] [--repeat N] [--only csv] [--xcom] [--json FILE]

The plain side calls what gives the same table, with its moments: it writes into a temporary file, or reads
from it, and hashes the file after that; ours writes a target and commits it, or opens it and verifies it.
Both sides take turns, more of them where they are brief; the figures are medians. A ratio of 1.10 is the
goal: within ten per cent of the plain call with the hashing that makes a target what it is.
"""

import argparse
import asyncio
import gc
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from racing import Lap, Race, write

from fileflow_async import formats
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.target import Slot, Target


def frame_of(rows: int) -> pd.DataFrame:
    """Return integers, numbers, texts (some with quotes and commas), truths and moments."""
    random = np.random.default_rng(1)
    names = np.array(["anna", "björk", "carl, jr", 'dee "d"', "egon"])
    notes = np.char.add("some longer text ", random.integers(0, 10**6, rows).astype(str))
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "quantity": random.integers(0, 1000, rows),
            "price": random.normal(100, 20, rows).round(2),
            "rate": random.random(rows),
            "name": names[random.integers(0, 5, rows)],
            "note": notes,
            "flag": random.random(rows) > 0.5,
            "moment": pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 10**7, rows), unit="s"),
        }
    )


@dataclass(frozen=True)
class Plain:
    """What somebody would call who has no targets."""

    write: Callable[[Any, Path], object]
    read: Callable[[Path], object]


def _write_ipc(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def _write_records(records: list[dict[str, Any]], path: Path) -> None:
    with path.open("w") as file:
        for record in records:
            file.write(json.dumps(record, default=str) + "\n")


def _read_records(path: Path) -> list[Any]:
    with path.open() as file:
        return [json.loads(line) for line in file]


CASES: dict[tuple[str, str], Plain] = {
    ("csv", "pandas"): Plain(
        lambda frame, path: frame.to_csv(path, index=False),
        lambda path: pd.read_csv(path, parse_dates=["moment"]),
    ),
    ("csv", "polars"): Plain(
        lambda frame, path: frame.write_csv(path), lambda path: pl.read_csv(path, try_parse_dates=True)
    ),
    ("csv", "pyarrow"): Plain(pyarrow.csv.write_csv, pyarrow.csv.read_csv),
    ("jsonl", "pandas"): Plain(
        lambda frame, path: frame.to_json(path, orient="records", lines=True, date_format="iso"),
        lambda path: pd.read_json(path, lines=True, convert_dates=["moment"]),
    ),
    ("jsonl", "polars"): Plain(
        lambda frame, path: frame.write_ndjson(path),
        lambda path: pl.read_ndjson(path).with_columns(pl.col("moment").str.to_datetime()),
    ),
    ("jsonl", "records"): Plain(_write_records, _read_records),
    ("parquet", "pandas"): Plain(
        lambda frame, path: frame.to_parquet(path, compression="zstd", index=False), pd.read_parquet
    ),
    ("parquet", "polars"): Plain(
        lambda frame, path: frame.write_parquet(path), lambda path: pl.read_parquet(path)
    ),
    ("parquet", "pyarrow"): Plain(
        lambda table, path: pyarrow.parquet.write_table(table, path, compression="zstd"),
        pyarrow.parquet.read_table,
    ),
    ("arrow", "pandas"): Plain(
        lambda frame, path: frame.to_feather(path, compression="uncompressed"), pd.read_feather
    ),
    ("arrow", "polars"): Plain(lambda frame, path: frame.write_ipc(path), lambda path: pl.read_ipc(path)),
    ("arrow", "pyarrow"): Plain(_write_ipc, lambda path: pa.ipc.open_file(path).read_all()),
}
KINDS: dict[str, Any] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.Table,
    "records": list,
    "xcom": pd.DataFrame,
}


class XCom:
    """Airflow's XComObjectStorageBackend: a frame as parquet within JSON, without a hash."""

    def __init__(self, folder: Path) -> None:
        os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = f"file://{folder}/xcom"
        os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"] = "0"
        os.environ["AIRFLOW_HOME"] = str(folder)
        from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend

        self._backend = XComObjectStorageBackend
        self._stored: Any = None

    def write(self, frame: pd.DataFrame, path: Path) -> None:
        path.touch()
        self._stored = self._backend.serialize_value(frame, dag_id="d", task_id="t", run_id="r")

    def read(self, path: Path) -> Any:
        return self._backend.deserialize_value(SimpleNamespace(value=self._stored))


@dataclass
class Row:
    """One line of the table.

    Attributes:
        plain: Median seconds of the plain call.
        hashing: Those of hashing its file.
        ours: Those of ours.
        ratios: Of each turn, ours to both of the others.
        ratio: Their median.
        cpu: The same of processor time, which a busy machine disturbs less.
        mebibytes: The size of the plain file.
    """

    format: str
    package: str
    action: str
    plain: float
    hashing: float
    ours: float
    ratios: list[float]
    ratio: float
    cpu: float
    mebibytes: float


Times = dict[str, list[tuple[float, float]]]


def row_of(format: str, package: str, action: str, times: Times, mebibytes: float) -> Row:
    plain, hashing, ours = times[f"plain {action}"], times["hash"], times[f"ours {action}"]
    if package == "xcom":
        hashing = [(0.0, 0.0)] * len(ours)
    wall, cpu = (
        [our[kind] / (one[kind] + two[kind]) for our, one, two in zip(ours, plain, hashing, strict=True)]
        for kind in (0, 1)
    )
    seconds = [statistics.median(turn[0] for turn in each) for each in (plain, hashing, ours)]
    medians = statistics.median(wall), statistics.median(cpu)
    return Row(format, package, action, *seconds, wall, *medians, mebibytes)


def hashed(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256").hexdigest()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    gc.collect()
    began, busy = time.perf_counter(), time.process_time()
    result = work()
    took = time.perf_counter() - began, time.process_time() - busy
    del result
    return took


class Ours:
    """A store in a folder; no fsync, for the plain side has none either."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        # As a task's engine does: Runner.run also writes a frame that it returns out as text, twice, for the
        # message of an error that it catches itself.
        self._run = runner.get_loop().run_until_complete
        self._storage = LocalStorage(folder, durability="none", create=True)
        self._run(self._storage.__aenter__())
        self._store = TargetStore(self._storage)

    def close(self) -> None:
        self._run(self._storage.__aexit__(None, None, None))

    def write(self, value: Any, format: str, package: str) -> None:
        self._run(self._write(value, format, package))

    def read(self, format: str, package: str) -> Any:
        return self._run(self._read(format, package))

    def forget(self, format: str, package: str) -> None:
        self._run(self._store.delete(target_of(format, package)))

    async def _write(self, value: Any, format: str, package: str) -> None:
        async with self._store.write(target_of(format, package), format=format) as draft:
            await formats.write(draft, value)

    async def _read(self, format: str, package: str) -> Any:
        async with self._store.open(target_of(format, package)) as stream:
            return await formats.read(stream, stream.record, KINDS[package])


def target_of(format: str, package: str) -> Target:
    slot = Slot(logical_date=datetime(2026, 11, 20, tzinfo=UTC))
    return Target(dag_id="bench", task_id=package, slot=slot, name=format)


# As many turns as there is time for: of nine the median of one case of 50 ms was 0.98 once, then 1.17.
SECONDS, LEAST, MOST = 15.0, 3, 41
ORDER = ("ours write", "plain write", "hash", "ours read", "plain read")  # of every second turn


def measured(
    ours: Ours, values: dict[str, Any], folder: Path, repeat: int | None, only: str | None
) -> Iterator[Row]:
    for (format, package), plain in CASES.items():
        if only not in (None, format, package) or package not in values:
            continue
        value, path = values[package], folder / f"plain-{package}.{format}"
        times: Times = {}
        sides: dict[str, Callable[[], object]] = {
            "plain write": partial(plain.write, value, path),
            "ours write": partial(ours.write, value, format, package),
            "hash": partial(hashed, path),
            "plain read": partial(plain.read, path),
            "ours read": partial(ours.read, format, package),
        }
        turn, turns = 0, repeat or LEAST
        while turn < turns:
            ours.forget(format, package)
            for name in sides if turn % 2 else ORDER:
                times.setdefault(name, []).append(timed(sides[name]))
            if turn == 0 and repeat is None:
                took = sum(seconds for [(seconds, _)] in times.values())
                turns = max(LEAST, min(MOST, round(SECONDS / took)))
            turn += 1
        for action in ("write", "read"):
            yield row_of(format, package, action, times, path.stat().st_size / 2**20)
        path.unlink()


def race_of(action: str, rows: list[Row]) -> dict[str, Any]:
    """Return all rows of an action as a race of formats, in which plain calls and hashing are one."""
    unit = "times the plain call and hashing"
    race = Race(f"{action.title()} a frame", unit, {}, more_is_better=False, of_ratios=True)
    race.laps = {name_of(row): list(map(Lap, row.ratios)) for row in rows if row.action == action}
    return race.result()


def name_of(row: Row) -> str:
    peer = "Airflow XComObjectStorageBackend, unhashed" if row.package == "xcom" else row.package
    return f"{row.format}, {peer}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rows, one turn: proves that it works")
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--repeat", type=int, default=None)
    parser.add_argument("--only", help="one format or one package")
    parser.add_argument("--xcom", action="store_true", help="beside Airflow's XComObjectStorageBackend, too")
    parser.add_argument("--json", type=Path, help="write the figures into a file, too")
    parser.add_argument("--directory", help="where the files go; by default the system's temporary folder")
    given = parser.parse_args()
    rows = given.rows or (10_000 if given.quick else 1_000_000)
    repeat = given.repeat or (1 if given.quick else None)
    frame = frame_of(rows)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    values = {"pandas": frame, "polars": pl.DataFrame(table), "pyarrow": table}
    if given.only in (None, "jsonl", "records"):
        values["records"] = table.drop_columns(["moment"]).to_pylist()
    print(f"{rows:,} rows, medians of {repeat or f'{LEAST} to {MOST}'} turns, seconds", flush=True)
    print("format   package  action   plain    hash    ours  ratio    cpu      MiB")
    found = []
    with tempfile.TemporaryDirectory(dir=given.directory) as folder, asyncio.Runner() as runner:
        ours = Ours(runner, Path(folder) / "store")
        if given.xcom:
            xcom = XCom(Path(folder))
            values["xcom"] = frame
            CASES["parquet", "xcom"] = CASES["arrow", "xcom"] = Plain(xcom.write, xcom.read)
        try:
            for row in measured(ours, values, Path(folder), repeat, given.only):
                found.append(row)
                print(
                    f"{row.format:8} {row.package:8} {row.action:6} {row.plain:7.3f} {row.hashing:7.3f} "
                    f"{row.ours:7.3f} {row.ratio:6.2f} {row.cpu:6.2f} {row.mebibytes:8.1f}",
                    flush=True,
                )
        finally:
            ours.close()
    write(given.json, [race_of(action, found) for action in ("write", "read")])
    if any(row.ratio > 1.1 for row in found):
        print("over 1.10: " + ", ".join(f"{r.format}/{r.package} {r.action}" for r in found if r.ratio > 1.1))


if __name__ == "__main__":
    main()
