"""Run the example DAGs in a real Airflow, and show what happens: `make demo`, `make demo ARGS=--once`."""

import argparse
import asyncio
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import httpx

from demo import outcome
from demo.airflow import Airflow
from demo.airflow_api import AirflowApi, TaskInstance
from demo.processes import ProcessError
from demo.screen import Screen
from demo.story import CONSUMERS, PRODUCER, SLOTS, play
from demo.watching import Watch
from fileflow_async import Slot, Target

DAGS = Path(__file__).parents[1] / "dags"
LOG_END = 25  # lines of a failed task's log: a traceback fits
# Before a task's own lines Airflow says where it has looked for them.
PREFACE, GROUP_END = "Log message source details", "::endgroup::"
USUAL_PORT = 8080


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the DAGs have; 0 if all is as expected")
    parser.add_argument("--port", type=int, help=f"of the UI; left out, {USUAL_PORT} or a free one")
    arguments = parser.parse_args()
    # As Ctrl-C does, so that the blocks end what they began.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = Path(tempfile.mkdtemp(prefix="fileflow-demo-"))
    screen, code = Screen(), 1
    try:
        # Who stays looks around at the usual port; those that end by themselves may run beside each other.
        port = arguments.port or (None if arguments.once else usual_port())
        code = run(home, screen, port=port, once=arguments.once)
    except (ProcessError, TimeoutError, httpx.HTTPError) as error:
        screen.problem(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    if code == 1:
        screen.problem(f"what Airflow said and did is kept in {home}")
    else:
        shutil.rmtree(home, ignore_errors=True)
    return code


def run(home: Path, screen: Screen, *, port: int | None, once: bool) -> int:
    """Start Airflow, play the story, judge it, and stay until Ctrl-C where that is wanted."""
    (store := home / "store").mkdir()
    (inbox := home / "inbox").mkdir()
    screen.headline(f"Airflow {version('apache-airflow')} starts, in {home}")
    airflow = Airflow(
        home,
        dags=DAGS,
        port=port,
        patience=5,  # nothing in there has to outlive it
        tell=screen.ready,
        environment={
            "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
            "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT": str(SLOTS),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # no run but those that are begun here
            "AIRFLOW__FILEFLOW__ROOT": store.as_uri(),
            "AIRFLOW__FILEFLOW__POKE_INTERVAL": "2",
            "AIRFLOW_VAR_INBOX": str(inbox),
        },
    )
    with ExitStack() as stack:
        with screen.busy("half a minute ..."):
            stack.enter_context(airflow)
            airflow.wait_for_dags([*CONSUMERS, PRODUCER])
        watch = Watch(airflow.api, tell=screen.change, check=airflow.check)
        day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            with screen.busy("..."):
                play(airflow.api, screen, watch, inbox, day)
        except TimeoutError as error:
            screen.problem(str(error))
        code = judge(screen, watch, store, day)
        if not once:
            stay(airflow, screen, store, day)
        return code


def judge(screen: Screen, watch: Watch, store: Path, day: datetime) -> int:
    """Show the targets, tell what is not as it has to be, and return the exit code."""
    screen.headline("What they handed each other")
    verdicts = asyncio.run(outcome.judge(store.as_uri(), day))
    screen.targets(verdicts)
    instances = watch.instances()
    tasks = outcome.unexpected(instances)
    for name, instance in tasks.items():
        if instance is None:
            screen.problem(f"there is no task {name}")
        else:
            screen.problem(f"{name} is {instance.state}; the end of its log:", log_end(watch.api, instance))
    targets = [verdict for verdict in verdicts if verdict.problem]
    for verdict in targets:
        screen.problem(f"{verdict.status.key}: {verdict.problem}")
    if tasks or targets:
        return 1
    waited, held = watch.total("deferred"), watch.total("running")
    screen.headline(
        f"All {len(instances)} tasks have ended well, and all {len(verdicts)} targets are verified"
    )
    screen.paragraph(f"The tasks waited for {waited:.0f} seconds in all, and held slots for {held:.0f}.")
    return 0


def log_end(api: AirflowApi, instance: TaskInstance) -> Sequence[str]:
    """Return the last lines of a task's log, or why there are none."""
    try:
        lines = api.log(instance)
    except httpx.HTTPStatusError as error:
        return [f"there is none: {error.response.status_code}"]
    if lines and PREFACE in lines[0] and GROUP_END in lines:
        lines = lines[lines.index(GROUP_END) + 1 :]
    return lines[-LOG_END:]


def stay(airflow: Airflow, screen: Screen, store: Path, day: datetime) -> None:
    """Leave everything running for whoever looks around, until Ctrl-C."""
    screen.headline(f"Look around at {airflow.url}, nobody has to log in; or in another terminal")
    key = Target(dag_id="shop_abroad", task_id="convert", slot=Slot(logical_date=day)).key
    for command in ("ls", f"show {key}", f"lineage {key}"):
        screen.command(f".venv/bin/fileflow {command} --root {store.as_uri()}")
    screen.headline("Ctrl-C ends it all.")
    try:
        while True:
            airflow.check()
            time.sleep(1)
    except KeyboardInterrupt:
        screen.headline("Airflow stops")


def usual_port() -> int | None:
    """Return the port where one expects Airflow, if it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            return None
        return USUAL_PORT


if __name__ == "__main__":
    sys.exit(main())
