"""What waiting costs: our trigger beside Airflow's FileTrigger and S3KeyTrigger, in one and the same run.

    .venv/bin/python bench/waiting.py [--quick] [--json FILE] [--peers DIR] [--only TEXT]

Each figure comes from a fresh process with nothing but the waits in its event loop; the commits come from a
second one, S3 is a stub in a third that counts its requests. Contestants take turns. S3KeyTrigger needs
apache-airflow-providers-amazon, which the development environment does not have: `pip install --no-deps
--target DIR apache-airflow-providers-amazon`, then `--peers DIR`. At 10,000 waits it is left out: it takes
1.4 MiB for each, and minutes to start.

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
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))
RUN = "dag{}/20261120T000000Z"
COMMITS_A_SECOND = 10.0
FAR = 4_000_000_000.0


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    way: str  # ours, FileTrigger or S3KeyTrigger
    store: str  # disk or s3
    waits: int
    interval: float
    seconds: float
    commits: int
    root: str = ""
    port: int = 0

    @property
    def name(self) -> str:
        return f"{self.store} {self.interval:g} s, {self.waits:,} waits"


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
        for now in numbers:
            if case.way == "ours":
                async with store.write(key_of(now)) as out:
                    await out.write(b"data")
            else:
                await store.storage.put(f"plain/{now}.csv", b"data")
            await asyncio.sleep(random.expovariate(1 / pause) if pause else 0)
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
    from airflow.providers.amazon.aws.triggers.s3 import S3KeyTrigger

    return S3KeyTrigger(bucket_name="lake", bucket_key=f"ff/plain/{number}.csv", poke_interval=case.interval)


class Looked:
    """Tells when every waiter has looked for the first time."""

    def __init__(self, case: Case) -> None:
        self.count = 0
        self.case = case
        if case.way == "FileTrigger":
            from airflow.providers.standard.triggers import file

            real = file.glob
            file.glob = lambda *args, **kwargs: self.note() or real(*args, **kwargs)
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
    if case.store == "disk":
        return 0
    with urllib.request.urlopen(f"http://127.0.0.1:{case.port}/-/counts") as answer:
        return sum(json.load(answer).values())


async def measure(case: Case) -> dict[str, Any]:
    """Start the waits, let them wait, commit for some of them, then for all."""
    fired: dict[int, float] = {}

    async def run(number: int, trigger: Any) -> None:
        async for _ in trigger.run():
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
        await asyncio.sleep(case.seconds)
        passed = time.perf_counter() - began
        figures["cpu s/s"] = (time.process_time() - used) / passed
        figures["requests/s"] = (requests(case) - asked) / passed
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
    await asyncio.sleep(5.0)
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


async def fire_all(case: Case) -> dict[str, Any]:
    """Start the waits, and commit for all of them as fast as one process can."""
    fired: dict[int, float] = {}

    async def run(number: int, trigger: Any) -> None:
        async for _ in trigger.run():
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
        seen = await committed(case, range(case.waits), 0.0)
        await asyncio.wait(waiting)
        probing.cancel()
        figures = latencies(seen, fired, case)
        del figures["raw"]
        return {
            "latency s": figures,
            "lag": lag.taken(),
            "seconds": time.perf_counter() - began,
            "cpu s": time.process_time() - used,
        }


# In the process that has the others started.


def cases(*, quick: bool, peers: bool) -> list[Case]:
    """Return what is measured, contestants in turns."""
    waits = (100, 1000) if quick else (100, 1000, 10_000)
    found = []
    for store, interval, number in itertools.product(("disk", "s3"), (1.0,) if quick else (1.0, 5.0), waits):
        peer = "FileTrigger" if store == "disk" else "S3KeyTrigger"
        for way in ("ours", peer):
            if way == "S3KeyTrigger" and (not peers or number > 1000):
                continue
            seconds = 5.0 if quick else max(10.0, 4 * interval)
            found.append(Case(way, store, number, interval, seconds, 30 if quick else 100))
    return found


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
    figures = asyncio.run(measure(case) if role == "measure" else fire_all(case))
    if isinstance(figures.get("latency s"), dict):
        figures["latency s"].pop("raw", None)
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer waits, fewer seconds")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--peers", metavar="DIR", help="where apache-airflow-providers-amazon is")
    parser.add_argument("--only", metavar="TEXT", default="", help="cases whose name has that text")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured; the median counts")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        play(arguments.role)
        return
    if arguments.peers:
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [arguments.peers, os.environ.get("PYTHONPATH")])
        )
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-airflow-"))
    rows = []
    for case in cases(quick=arguments.quick, peers=bool(arguments.peers)):
        if arguments.only in f"{case.way} {case.name}":
            rounds = [run_apart(case, "measure") for _ in range(arguments.rounds)]
            rows.append({"case": asdict(case), **(rounds[0] if len(rounds) == 1 else medians(rounds))})
            print(table(rows[-1:]), flush=True)
    storms = []
    for store in ("disk", "s3"):
        case = Case("ours", store, 1000 if arguments.quick else 10_000, 5.0, 0.0, 0)
        if arguments.only in f"storm {case.name}":
            storms.append({"case": asdict(case), **run_apart(case, "storm")})
            print(f"\nall of {case.name} committed at once: {json.dumps(storms[-1])}", flush=True)
    print(f"\n\n{table(rows)}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"waiting": rows, "storms": storms}, indent=1))


def medians(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: medians([each[name] for each in rounds])
        if isinstance(rounds[0][name], dict)
        else statistics.median(each[name] for each in rounds)
        for name in rounds[0]
    }


if __name__ == "__main__":
    main()
