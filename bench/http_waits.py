"""What a server sees of a wait for it, and what its answers cost: our trigger beside Airflow's.

    .venv-bench/bin/python bench/http_waits.py [--quick] [--json FILE]

Needs apache-airflow-providers-http, which bench/peers.txt names; without it only ours is measured. The
server is a process of its own that counts its requests. All wait at an interval of 60 s: ours for a minute,
for all kinds of answers in one process; Airflow's for ten seconds, each in a process of its own, since those
that spin take all of it. Memory is the peak of a fresh process that looks at one answer, or downloads it,
beyond what it had before.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))
INTERVAL = 60.0
MIB = 1 << 20
STATUSES = ("200", "401", "403", "404", "429", "500", "503")
ANSWERS = {
    **{name: f"HTTP/1.1 {name} X\r\nContent-Length: 0\r\n\r\n".encode() for name in STATUSES},
    "redirect to itself": b"HTTP/1.1 302 Found\r\nLocation: ?\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x16\x03\x01 garbage \r\n\r\n",
    "reset": b"",
    "body cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123",
}
PATHS = {name: f"/{number}" for number, name in enumerate(ANSWERS)}


# The server.


def bomb(mebibytes: int) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packing.compress(bytes(MIB)) for _ in range(mebibytes)) + packing.flush()


async def large(writer: asyncio.StreamWriter, mebibytes: int) -> None:
    writer.write(b'HTTP/1.1 200 X\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % (mebibytes * MIB))
    piece = os.urandom(MIB)
    for _ in range(mebibytes):
        writer.write(piece)
        await writer.drain()


async def serve(mebibytes: int) -> None:
    """Answer by the path, and count."""
    counts: Counter[str] = Counter()
    answers = {PATHS[name]: answer.replace(b"?", PATHS[name].encode()) for name, answer in ANSWERS.items()}
    closing = {PATHS[name] for name in ("garbage", "reset", "body cut off")}
    packed = bomb(400)

    def one(path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/-/counts":
            body = json.dumps(counts).encode()
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        elif path == "/bomb":
            head = b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % len(packed) + packed)
        else:
            writer.write(answers.get(path, answers[PATHS["404"]]))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            path = ""
            while path not in closing:
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
                counts[path] += 1
                if path == "/large":
                    await large(writer, mebibytes)
                else:
                    one(path, writer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def counted(port: int) -> Counter[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/counts") as answer:
        return Counter(json.load(answer))


# The contestants, each in a process of its own.


def trigger_of(who: str, path: str) -> Any:
    if who == "ours":
        from fileflow_async.triggers.http import HttpTrigger

        return HttpTrigger(endpoint=path, http_conn_id="bench", poke_interval=INTERVAL)
    if path == "/bomb":
        from airflow.providers.http.triggers.http import HttpTrigger as AirflowsTrigger

        return AirflowsTrigger(endpoint=path, http_conn_id="bench", method="GET")
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    return HttpSensorTrigger(endpoint=path, http_conn_id="bench", poke_interval=INTERVAL)


async def wait(who: str, path: str, seconds: float) -> str:
    """Wait so long, and return what came of it."""
    try:
        async with asyncio.timeout(seconds):
            event = await anext(trigger_of(who, path).run())
    except TimeoutError:
        return "waits"
    except Exception as error:
        return f"fails ({type(error).__name__})"
    return f"fires ({len(json.dumps(event.payload, default=str)):,} bytes)"


def peak() -> float:
    """Return the most memory that the process has had, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


async def download(root: str) -> str:
    from fileflow_async.clock import SystemClock
    from fileflow_async.hooks.http import HttpAsyncHook
    from fileflow_async.hooks.store import open_store
    from fileflow_async.http.download import Download
    from fileflow_async.http.request import Request

    hook = HttpAsyncHook("bench", total_timeout=None, max_size=None)
    key = "bench/20260920T000000Z/bring/output"
    async with open_store(root) as store, hook.open() as client, store.write(key) as draft:
        request = Request.of(endpoint="/large")
        bringing = Download(client, request, limits=hook.limits, patience=hook.patience, clock=SystemClock())
        await bringing.into(draft.write)
    return f"{bringing.size / MIB:,.0f} MiB committed"


async def wait_for_all(seconds: float) -> dict[str, str]:
    """Wait for every kind of answer at once: none of ours takes the time of another."""
    waits = {what: asyncio.create_task(wait("ours", path, seconds)) for what, path in PATHS.items()}
    return {what: await task for what, task in waits.items()}


def contest(who: str, what: str, seconds: float, root: str) -> None:
    """Do one thing, and print what came of it."""
    logging.disable()
    asyncio.run(wait(who, "/warm", 1.0))  # imports, and what is made once
    before, began = peak(), time.monotonic()
    if what == "all":
        came: Any = asyncio.run(wait_for_all(seconds))
    elif what == "large":
        came = asyncio.run(download(root))
    else:
        came = asyncio.run(wait(who, PATHS.get(what, f"/{what}"), seconds))
    print(json.dumps({"came": came, "memory": peak() - before, "seconds": time.monotonic() - began}))


# The race.


def started(port: int, who: str, what: str, seconds: float, root: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "AIRFLOW_CONN_BENCH": f"http://127.0.0.1:{port}",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    }
    arguments = ["--contestant", who, "--what", what, "--seconds", str(seconds), "--root", root]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(HERE), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate()
    return (
        json.loads(said.splitlines()[-1]) if process.returncode == 0 else {"came": "CRASHED", "memory": None}
    )


def requests(port: int, who: str, root: str, seconds: float) -> dict[str, tuple[float, str]]:
    """Return the requests a minute at each kind of answer, and what came of the wait."""
    found = {}
    all_at_once = outcome(started(port, who, "all", seconds, root)) if who == "ours" else None
    for what in ANSWERS:
        before = 0 if all_at_once else counted(port)[PATHS[what]]
        end = all_at_once or outcome(started(port, who, what, seconds, root))
        count = counted(port)[PATHS[what]] - before
        came = end["came"][what] if all_at_once else end["came"]
        # The first comes at once; a wait that has ended would not have asked again.
        found[what] = (1 + (count - 1) * 60.0 / seconds if came == "waits" else count), came
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="prove that it works")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--seconds", type=float, help="how long to wait")
    for name in ("--contestant", "--what", "--root"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve))
    elif options.contestant is not None:
        contest(options.contestant, options.what, options.seconds, options.root)
    else:
        race(options)


def race(options: argparse.Namespace) -> None:
    has_peer = importlib.util.find_spec("airflow.providers.http") is not None
    large = 64 if options.quick else 1024
    with (
        tempfile.TemporaryDirectory(prefix="fileflow-bench-") as folder,
        subprocess.Popen(
            [sys.executable, str(HERE), "--serve", str(large)], stdout=subprocess.PIPE
        ) as server,
    ):
        os.environ["AIRFLOW_HOME"] = folder
        try:
            port = int(server.stdout.readline())  # type: ignore[union-attr]
            found = {"requests": {}, "memory": {}}
            for who, usual in (("ours", 60.0), *([("Airflow's", 10.0)] if has_peer else [])):
                seconds = options.seconds or (3.0 if options.quick else usual)
                found["requests"][who] = requests(port, who, folder, seconds)
                found["memory"][who, "look at 400 MiB in a gzip of 400 kB"] = outcome(
                    started(port, who, "bomb", 20.0, folder)
                )
            found["memory"]["ours", f"download of {large} MiB"] = outcome(
                started(port, "ours", "large", 0.0, folder)
            )
        finally:
            server.terminate()
    tell(found)
    if options.json:
        memory = [{"who": who, "what": what, **end} for (who, what), end in found["memory"].items()]
        options.json.write_text(json.dumps({"requests": found["requests"], "memory": memory}, indent=1))


def tell(found: dict[str, Any]) -> None:
    names = list(found["requests"])
    print(f"\nRequests a minute, at an interval of {INTERVAL:.0f} s, and what becomes of the wait\n")
    print(f"{'the server says':<22}" + "".join(f"{name:>16}{'':<28}" for name in names))
    for what in ANSWERS:
        cells = (found["requests"][name][what] for name in names)
        print(f"{what:<22}" + "".join(f"{rate:>16,.0f}  {came:<26}" for rate, came in cells))
    print("\nMemory beyond what the process had, MiB\n")
    for (who, what), end in found["memory"].items():
        memory = "?" if end["memory"] is None else f"{end['memory']:,.0f}"
        print(f"{who:<12}{what:<40}{memory:>8}   {end['came']}, {end.get('seconds', 0.0):.1f} s")


if __name__ == "__main__":
    main()
