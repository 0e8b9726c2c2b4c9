"""What waiting costs: our trigger beside those of Airflow, in one and the same run.

    .venv-bench/bin/python bench/waiting.py [--quick | --all] [--rounds N] [--only TEXT] [--json FILE]

Each figure comes from a fresh process with nothing but the waits in its event loop; the commits come from a
second one, S3 is a stub in a third that counts its requests. Contestants take turns. S3KeyTrigger is left out
at 10,000 waits: it takes 1.4 MiB for each, and minutes to start.

The lag is what other triggers feel: how late a task runs that sleeps 5 ms. What Python's garbage collector
takes is told apart; Airflow itself brings most of what that has to look through.
"""

import argparse
import asyncio
import gc
import itertools
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from racing import Lap, Race, arguments, table as race_table, write
from servers import dollars

HERE = Path(__file__).resolve()
RUN = "dag{}/20261120T000000Z"
COMMITS_A_SECOND = 10.0
LEAST = 2.0  # seconds that a case lasts which only has to work
STORM = 200.0  # commits a second while all waits end
PEERS = {"disk": ("FileTrigger", "DirectoryFileDeleteTrigger"), "s3": ("S3KeyTrigger",)}
FAR = 4_000_000_000.0


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    way: str  # ours, or the name of a trigger of Airflow's
    store: str  # disk or s3
    waits: int
    interval: float
    seconds: float
    commits: int
    root: str = ""
    port: int = 0

    @property
    def name(self) -> str:
        return f"{self.store}, {self.waits:,} at {self.interval:g} s"


def key_of(number: int) -> str:
    """Return the target of a waiter: a hundred to a run."""
    return f"{RUN.format(number // 100)}/task{number % 100}/output"


# In the process that commits.


@asynccontextmanager
async def opened(case: Case) -> AsyncIterator[Any]:
    from fileflow_async.storage.local import LocalStorage
    from fileflow_async.storage.s3 import S3Settings, S3Storage
    from fileflow_async.store import TargetStore

    if case.store == "disk":
        async with LocalStorage(f"{case.root}/ff", durability="none", create=True) as local:
            yield TargetStore(local)
    else:
        settings = S3Settings(
            endpoint_url=f"http://127.0.0.1:{case.port}",
            region="us-east-1",
            access_key_id="planted",
            secret_access_key="planted",  # noqa: S106 - it opens nothing
            addressing_style="path",
        )
        async with S3Storage("lake", "ff", settings) as s3:
            yield TargetStore(s3)


async def commit(case: Case, numbers: Sequence[int], pause: float) -> dict[int, float]:
    """Commit one target after another; return when each could be seen."""
    seen: dict[int, float] = {}
    async with opened(case) as store:
        put, now = store.storage.put, 0

        async def noting(key: str, data: bytes, **options: Any) -> Any:
            entry = await put(key, data, **options)
            if key.endswith((".ok", ".csv")):
                seen[now] = time.time()
            return entry

        store.storage.put = noting
        due = time.monotonic()
        for now in numbers:
            due += random.expovariate(1 / pause) if pause else 0
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if case.way == "ours":
                async with store.write(key_of(now)) as out:
                    await out.write(b"data")
            else:
                await store.storage.put(f"plain/{now}.csv", b"data")
    return seen


# In the process that waits.


def make(case: Case, number: int) -> Any:
    """Return the trigger of a waiter."""
    if case.way == "ours":
        from fileflow_async.triggers import FileTargetTrigger

        root = f"{case.root}/ff" if case.store == "disk" else "s3://lake/ff"
        conn_id = None if case.store == "disk" else "aws_default"
        return FileTargetTrigger(
            root=root, targets=[key_of(number)], conn_id=conn_id, poke_interval=case.interval, deadline=FAR
        )
    if case.way == "FileTrigger":
        from airflow.providers.standard.triggers.file import FileTrigger

        return FileTrigger(filepath=f"{case.root}/ff/plain/{number}.csv", poke_interval=case.interval)
    if case.way == "DirectoryFileDeleteTrigger":
        from airflow.providers.standard.triggers.file import DirectoryFileDeleteTrigger

        return DirectoryFileDeleteTrigger(
            directory=f"{case.root}/ff/plain", filename=f"{number}.csv", poke_interval=case.interval
        )
    from airflow.providers.amazon.aws.triggers.s3 import S3KeyTrigger

    return S3KeyTrigger(bucket_name="lake", bucket_key=f"ff/plain/{number}.csv", poke_interval=case.interval)


class Events:
    """Runs triggers as the triggerer does: those that can share a stream do."""

    def __init__(self) -> None:
        self._shared: Any = None

    def of(self, number: int, trigger: Any) -> AsyncIterator[Any]:
        if getattr(trigger, "shared_stream_key", lambda: None)() is None:
            events: AsyncIterator[Any] = trigger.run()
            return events
        if self._shared is None:
            import structlog
            from airflow.triggers.shared_stream import SharedStreamManager

            self._shared = SharedStreamManager(
                log=structlog.get_logger(), max_subscriber_queue=1024, ack_timeout=60, cohort_grace_period=5
            )
        key = trigger.shared_stream_key()
        shared = self._shared.subscribe(trigger_id=number, trigger=trigger, key=key)
        events = trigger.filter_shared_stream(shared)
        return events  # noqa: RET504 - for its type

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.stop_all()


class Looked:
    """Tells when every waiter has looked for the first time."""

    def __init__(self, case: Case) -> None:
        self.count = 0
        self.case = case
        if case.way == "FileTrigger":
            from airflow.providers.standard.triggers import file

            real = file.glob
            file.glob = lambda *args, **kwargs: self.note() or real(*args, **kwargs)
        elif case.way == "DirectoryFileDeleteTrigger":
            from airflow.providers.standard.triggers.file import DirectoryFileDeleteTrigger as Shared

            wait = Shared.filter_shared_stream

            def waited(trigger: Any, stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
                return wait(trigger, self.noted(stream))

            Shared.filter_shared_stream = waited
        elif case.way == "S3KeyTrigger":
            from airflow.providers.amazon.aws.hooks.s3 import S3Hook

            check = S3Hook.check_key_async

            async def checked(hook: Any, *args: Any, **kwargs: Any) -> Any:
                found = await check(hook, *args, **kwargs)
                self.note()
                return found

            S3Hook.check_key_async = checked

    def note(self) -> None:
        self.count += 1

    async def noted(self, stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
        first = True
        async for each in stream:
            if first:
                self.note()
            first = False
            yield each

    async def all(self) -> None:
        while not self.is_done():
            await asyncio.sleep(0.02)

    def is_done(self) -> bool:
        if self.case.way != "ours":
            return self.count >= self.case.waits
        from fileflow_async.watch import Watch

        watches = Watch._running.get(asyncio.get_running_loop(), {}).values()
        return any(
            sum(watched.status is not None for watched in watch.looks._targets.values()) >= self.case.waits
            for watch in watches
        )


class Lag:
    """How late the loop is, with and without what the garbage collector takes."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.beside: list[float] = []
        self.collecting = 0.0
        self._began = 0.0
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, _: Any) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.collecting += time.perf_counter() - self._began

    async def probe(self) -> None:
        while True:
            began, collecting = time.perf_counter(), self.collecting
            await asyncio.sleep(0.005)
            late = time.perf_counter() - began - 0.005
            self.late.append(late)
            self.beside.append(max(0.0, late - (self.collecting - collecting)))

    def taken(self) -> dict[str, float]:
        """Return what there was since the last call, in milliseconds; nothing in less than 5 ms."""
        late, beside = sorted(self.late), sorted(self.beside)
        self.late, self.beside = [], []
        return {
            "p50": 1000 * percentile(beside, 50),
            "p99": 1000 * percentile(beside, 99),
            "max": 1000 * max(beside, default=0.0),
            "max with gc": 1000 * max(late, default=0.0),
        }


def percentile(ordered: Sequence[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def requests(case: Case) -> int:
    return sum(counts(case).values())


def counts(case: Case) -> dict[str, int]:
    """Return how many requests of each kind there were."""
    if case.store == "disk":
        return {}
    with urllib.request.urlopen(f"http://127.0.0.1:{case.port}/-/counts") as answer:
        found: dict[str, int] = json.load(answer)
        return found


async def measure(case: Case) -> dict[str, Any]:
    """Start the waits, let them wait, commit for some of them, then for all."""
    fired: dict[int, float] = {}
    events = Events()

    async def run(number: int, trigger: Any) -> None:
        async for _ in events.of(number, trigger):
            fired.setdefault(number, time.time())

    async with asyncio.TaskGroup() as tasks:
        lag, looked = Lag(), Looked(case)
        probing = tasks.create_task(lag.probe())
        await warm_up(case)
        figures: dict[str, Any] = {}
        await asyncio.sleep(0.5)
        looked.count = 0
        lag.taken()
        before, asked, used, began = memory(), requests(case), time.process_time(), time.perf_counter()
        waiting: list[asyncio.Task[None]] = []
        for number in range(case.waits):
            waiting.append(tasks.create_task(run(number, make(case, number))))
            await asyncio.sleep(0)  # as the triggerer does
        await looked.all()
        figures["start s"] = time.perf_counter() - began
        figures["start cpu s"] = time.process_time() - used
        figures["start requests"] = requests(case) - asked
        figures["start lag"] = lag.taken()
        await asyncio.sleep(1.0)
        gc.collect()
        figures["KiB a waiter"] = (memory() - before) / case.waits / 1024
        await asyncio.sleep(0.5)
        probing.cancel()  # it takes more than the waits do
        asked, used, began = requests(case), time.process_time(), time.perf_counter()
        paid = counts(case)
        await asyncio.sleep(case.seconds)
        passed = time.perf_counter() - began
        figures["cpu s/s"] = (time.process_time() - used) / passed
        figures["requests/s"] = (requests(case) - asked) / passed
        figures["dollars/day"] = dollars(
            {kind: count - paid.get(kind, 0) for kind, count in counts(case).items()}
        ) * (86_400 / passed)
        probing = tasks.create_task(lag.probe())
        lag.taken()
        await asyncio.sleep(case.seconds)
        figures["lag"] = lag.taken()
        some = random.sample(range(case.waits), min(case.commits, case.waits))
        figures["latency s"] = latencies(await committed(case, some, 1 / COMMITS_A_SECOND), fired, case)
        while not all(number in fired for number in some):
            await asyncio.sleep(0.05)
        figures["latency s"] = latencies(figures["latency s"].pop("raw"), fired, case)
        lag.taken()
        for task in waiting:
            task.cancel()
            await asyncio.sleep(0)  # as the triggerer does
        await asyncio.wait(waiting)
        figures["end lag"] = lag.taken()
        await events.close()
        probing.cancel()
    return figures


async def warm_up(case: Case) -> None:
    """Do once what is done once a process: imports, the first client, the store's first commit."""
    trigger = make(case, -1)
    quiet()  # Airflow sets its log up when it is imported
    await committed(case, [-2], 0.0)

    async def run() -> None:
        async for _ in trigger.run():
            pass

    task = asyncio.create_task(run())
    await asyncio.sleep(5.0 if case.seconds > LEAST else 1.5)
    task.cancel()
    await asyncio.wait([task])
    gc.collect()
    await asyncio.sleep(0.5)


def latencies(seen: dict[int, float], fired: dict[int, float], case: Case) -> dict[str, Any]:
    late = sorted(fired[number] - moment for number, moment in seen.items() if number in fired)
    return {"p50": percentile(late, 50), "p99": percentile(late, 99), "of": len(late), "raw": seen}


async def committed(case: Case, numbers: Sequence[int], pause: float) -> dict[int, float]:
    """Have another process commit."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE),
        "--role",
        "commit",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    order = json.dumps({"case": asdict(case), "numbers": list(numbers), "pause": pause})
    answer, _ = await process.communicate(order.encode())
    return {int(number): moment for number, moment in json.loads(answer).items()}


async def fire_many(case: Case) -> dict[str, Any]:
    """Start the waits, and commit for many of them, 200 a second."""
    fired: dict[int, float] = {}
    events = Events()

    async def run(number: int, trigger: Any) -> None:
        async for _ in events.of(number, trigger):
            fired.setdefault(number, time.time())

    async with asyncio.TaskGroup() as tasks:
        lag, looked = Lag(), Looked(case)
        probing = tasks.create_task(lag.probe())
        await warm_up(case)
        looked.count = 0
        waiting = []
        for number in range(case.waits):
            waiting.append(tasks.create_task(run(number, make(case, number))))
            await asyncio.sleep(0)
        await looked.all()
        await asyncio.sleep(2.0)
        lag.taken()
        began, used = time.perf_counter(), time.process_time()
        some = random.sample(range(case.waits), case.commits)
        seen = await committed(case, some, 1 / STORM)
        while not all(number in fired for number in some):
            await asyncio.sleep(0.05)
        figures = {
            "latency s": latencies(seen, fired, case),
            "lag": lag.taken(),
            "commits/s": len(some) / (max(seen.values()) - min(seen.values())),
            "cpu s/s": (time.process_time() - used) / (time.perf_counter() - began),
        }
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        await events.close()
        probing.cancel()
        return figures


# In the process that has the others started.


def cases(*, quick: bool, everything: bool) -> list[list[Case]]:
    """Return what is measured: of each group the first is ours, the others are compared with it."""
    kinds = [(1.0, 1000), (5.0, 100), (5.0, 10_000)]
    if quick:
        kinds = [(1.0, 100)]
    elif everything:
        kinds = list(itertools.product((1.0, 5.0), (100, 1000, 10_000)))
    looks, commits = (2, 10) if quick else (5, 50)
    return [
        [
            Case(way, store, waits, interval, min(looks * interval, 25.0), commits)
            for way in ("ours", *PEERS[store])
            if way != "S3KeyTrigger" or waits <= 1000
        ]
        for store in PEERS
        for interval, waits in kinds
    ]


def environment(case: Case) -> dict[str, str]:
    connection = {
        "conn_type": "aws",
        "login": "planted",
        "password": "planted",
        "extra": {
            "endpoint_url": f"http://127.0.0.1:{case.port}",
            "region_name": "us-east-1",
            "config_kwargs": {"s3": {"addressing_style": "path"}},
        },
    }
    return {**os.environ, "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection), "PYTHONWARNINGS": "ignore"}


def run_apart(case: Case, role: str) -> dict[str, Any]:
    """Measure in a process of its own, beside a server of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        server = subprocess.Popen(
            [sys.executable, str(HERE.with_name("s3_stub.py")), "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            port = int(next(iter(server.stdout or ())))
            case = Case(**{**asdict(case), "root": directory, "port": port})
            os.makedirs(f"{directory}/ff/plain")
            done = subprocess.run(
                [sys.executable, str(HERE), "--role", role],
                input=json.dumps(asdict(case)),
                capture_output=True,
                text=True,
                env=environment(case),
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stderr[-5000:])
            figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return figures
        finally:
            server.terminate()
            server.wait()
            shutil.rmtree(directory, ignore_errors=True)


COLUMNS: Sequence[tuple[str, Callable[[dict[str, Any]], str]]] = (
    ("way", lambda row: row["case"]["way"]),
    ("cpu s/s", lambda row: f"{row['cpu s/s']:.4f}"),
    ("req/s", lambda row: f"{row['requests/s']:.1f}"),
    ("lag p50/p99/max ms", lambda row: "{p50:.1f}/{p99:.1f}/{max:.0f}".format(**row["lag"])),
    ("latency p50/p99 s", lambda row: "{p50:.3f}/{p99:.3f}".format(**row["latency s"])),
    ("KiB each", lambda row: f"{row['KiB a waiter']:.1f}"),
    ("start s", lambda row: f"{row['start s']:.2f}"),
    ("cpu s", lambda row: f"{row['start cpu s']:.2f}"),
    ("requests", lambda row: f"{row['start requests']}"),
    ("lag p99/max(gc) ms", lambda row: "{p99:.1f}/{max:.0f}({max with gc:.0f})".format(**row["start lag"])),
    ("end lag max ms", lambda row: "{max:.0f}".format(**row["end lag"])),
)


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for name, group in itertools.groupby(rows, key=lambda row: Case(**row["case"]).name):
        cells = [[title for title, _ in COLUMNS]] + [[show(row) for _, show in COLUMNS] for row in group]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines.append(f"\n{name}")
        lines += [
            "  " + "  ".join(cell.rjust(width) for cell, width in zip(each, widths, strict=True))
            for each in cells
        ]
    return "\n".join(lines)


def quiet() -> None:
    import structlog

    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def play(role: str) -> None:
    """Be one of the other processes."""
    order = json.loads(sys.stdin.read())
    if role == "commit":
        case = Case(**order["case"])
        print(json.dumps(asyncio.run(commit(case, order["numbers"], order["pause"]))))
        return
    case = Case(**order)
    figures = asyncio.run(measure(case) if role == "measure" else fire_many(case))
    if isinstance(figures.get("latency s"), dict):
        figures["latency s"].pop("raw", None)
    print(json.dumps(figures))


METRICS: Sequence[tuple[str, str, Callable[[dict[str, Any]], float]]] = (
    ("processor time", "ms a second", lambda row: 1000 * row["cpu s/s"]),
    ("requests", "a second", lambda row: row["requests/s"]),
    ("price of the requests", "dollars a day", lambda row: row["dollars/day"]),
    ("from commit to event, median", "s", lambda row: row["latency s"]["p50"]),
    ("from commit to event, p99", "s", lambda row: row["latency s"]["p99"]),
    ("lag of the loop, p99", "ms", lambda row: row["lag"]["p99"]),
    ("lag of the loop, most", "ms", lambda row: row["lag"]["max"]),
    ("memory", "KiB a wait", lambda row: row["KiB a waiter"]),
    ("start, processor time", "s", lambda row: row["start cpu s"]),
    ("start, lag of the loop, most", "ms", lambda row: row["start lag"]["max"]),
    (
        "start, lag of the loop with garbage collections, most",
        "ms",
        lambda row: row["start lag"]["max with gc"],
    ),
    ("start, requests", "in all", lambda row: row["start requests"]),
)
STORM_METRICS: Sequence[tuple[str, str, Callable[[dict[str, Any]], float]]] = (
    ("from commit to event, median", "s", lambda row: row["latency s"]["p50"]),
    ("from commit to event, p99", "s", lambda row: row["latency s"]["p99"]),
    ("lag of the loop, p99", "ms", lambda row: row["lag"]["p99"]),
    ("processor time", "ms a second", lambda row: 1000 * row["cpu s/s"]),
)


def races(
    name: str, found: Mapping[str, Sequence[dict[str, Any]]], metrics: Sequence[Any]
) -> Iterator[dict[str, Any]]:
    """Yield what was found as races, one for each metric."""
    for metric, unit, figure in metrics:
        race = Race(f"{name}: {metric}", unit, {}, more_is_better=False)
        race.laps = {way: [Lap(figure(row)) for row in rows] for way, rows in found.items()}
        if any(lap.figure for laps in race.laps.values() for lap in laps):
            yield race.result()


def measured(group: Sequence[Case], role: str, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Let the contestants of a group take turns."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for case in group:
            figures = run_apart(case, role)
            name = "FileTargetTrigger" if case.way == "ours" else f"Airflow {case.way}"
            found.setdefault(name, []).append(figures)
            if role == "measure":
                print(table([{"case": asdict(case), **figures}]), flush=True)
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--all", action="store_true", help="every number of waits: 25 minutes a round")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        play(options.role)
        return
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-airflow-"))
    found = []
    for group in cases(quick=options.quick, everything=options.all):
        if options.only in (name := f"Wait on {group[0].name}"):
            rows = measured(group, "measure", options.rounds or 1)
            found += races(name, rows, METRICS)
            write(options.json, found)  # it takes long: what there is must not be lost
    for store in PEERS:
        number, commits = (100, 50) if options.quick else (10_000, 2000)
        case = Case("ours", store, number, 5.0, LEAST if options.quick else 20.0, commits)
        if options.only in (name := f"Commits at 200 a second, {case.name}"):
            found += races(name, measured([case], "storm", options.rounds or 1), STORM_METRICS)
    print("\n".join(race_table(race) for race in found))
    write(options.json, found)


if __name__ == "__main__":
    main()
