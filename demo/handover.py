"""One process commits a target piece by piece; another waits for it with the trigger that Airflow runs."""

import asyncio
import hashlib
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from fileflow_async import Slot, State, Target, open_store

SLOT = Slot(logical_date=datetime(2026, 11, 20, tzinfo=UTC))
ORDERS = Target(dag_id="shop", task_id="extract", slot=SLOT)
PIECES, PIECE = 3, b"4711,Amsterdam,12.50\n" * 250_000


def say(who: str, what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {who:<8}  {what}", flush=True)


async def produce(root: str) -> str:
    """Commit the target, in its own time, and return the hash of its data."""
    digest = hashlib.sha256()
    async with open_store(root) as store:
        async with store.write(ORDERS, format="csv") as out:
            for piece in range(1, PIECES + 1):
                await out.write(PIECE)
                digest.update(PIECE)
                status = await store.state(ORDERS)
                say("producer", f"piece {piece} of {PIECES} written: {status.state}, {status.why}")
                await asyncio.sleep(1)
        say("producer", f"committed {(await store.state(ORDERS)).why.removeprefix('committed ')}")
    return digest.hexdigest()


async def consume(root: str) -> int:
    """Wait as the triggerer does, then read the version that the event names."""
    from fileflow_async import FileTargetTrigger, Reference

    deadline = time.time() + 60
    trigger = FileTargetTrigger(root=root, targets=[ORDERS.key], poke_interval=5, deadline=deadline)
    say("consumer", f"waits for {ORDERS} ...")
    event = await anext(trigger.run())
    say("consumer", f"the trigger fired: {event.payload['outcome']}")
    if event.payload["outcome"] != "ready":
        return 1
    async with open_store(root) as store:
        reference = Reference.from_payload(event.payload["ready"][0])
        data = await store.read(reference)
    say("consumer", f"read {len(data):,} bytes, verified: sha256 {reference.sha256[:12]}…")
    print(reference.sha256)
    return 0


async def main(root: str) -> int:
    say("demo", f"an embedded store at {root}")
    command = [sys.executable, __file__, "--consume", root]
    consumer = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output = cast(asyncio.StreamReader, consumer.stdout)
    try:
        while b"waits" not in (line := await output.readline()):
            if not line:
                return 1
        print(line.decode(), end="", flush=True)
        produced = await produce(root)
        rest = (await output.read()).decode().splitlines()
        *lines, consumed = rest or [""]
        print(*lines, sep="\n")
        async with open_store(root) as store:
            whole = (await store.state(ORDERS)).state is State.COMPLETE and consumed == produced
        files = sorted(path.relative_to(Path(root)) for path in Path(root).rglob("*.csv*"))
        print("\nWhat lies in the store now: the newest name with an .ok is the value.\n")
        print(*(f"  {path}" for path in files), sep="\n")
        say("demo", "handed over whole" if whole else "FAILED: what was read is not what was written")
        return 0 if whole else 1
    finally:
        if consumer.returncode is None:
            consumer.terminate()
        await consumer.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--consume"]:
        sys.exit(asyncio.run(consume(sys.argv[2])))
    with tempfile.TemporaryDirectory(prefix="fileflow-demo-") as folder:
        sys.exit(asyncio.run(main(folder)))
