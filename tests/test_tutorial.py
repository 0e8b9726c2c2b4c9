"""The tutorial, done as it says: from its first block to its last, in a real Airflow."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from signal import SIGHUP, SIGINT
from typing import TypeVar

import pytest

from demo.airflow import free_port
from demo.airflow_api import AirflowApi, TaskInstance
from demo.processes import Processes
from tests.pages import DOCS, Block, blocks, steady

Answer = TypeVar("Answer")

LIMIT = 60.0  # seconds for each step: 10 on an idle machine
PASSWORD = re.compile(r"Password for user 'admin': (\S+)")
LINGERING = "Shutting down components"
ENDED = ("success", "failed")
SLOT = re.compile(r"\b\d{8}T000000Z")  # of today; the page is about a day of its own


class Page:
    """The tutorial, of which each block has to be taken in turn."""

    def __init__(self) -> None:
        self.left = blocks(DOCS / "tutorial.md")

    def commands(self) -> str:
        """Return what is to be typed next."""
        return self._next("sh").text

    def lines(self) -> Sequence[str]:
        """Return what is shown next, as patterns of lines; `…` stands for anything."""
        return [re.escape(line).replace("…", ".*") for line in same(self._next("text").text)]

    def save(self, path: Path) -> None:
        """Write the file that comes next."""
        path.write_text((DOCS / self._next("{literalinclude}").argument).read_text())

    def _next(self, language: str) -> Block:
        block = self.left.pop(0)
        assert block.language == language, f"line {block.line}"
        return block


def same(printed: str) -> list[str]:
    return steady(SLOT.sub("SLOT", printed))


class Terminal:
    """A shell in a clone of the repository, in which each line has to succeed.

    Args:
        clone: Its folder.
        environment: That of somebody who has just logged in.
        exports: The file that keeps what is exported, for what is typed next.
    """

    def __init__(self, clone: Path, environment: Mapping[str, str], exports: Path) -> None:
        self._clone = clone
        self._environment = environment
        self._exports = exports

    def command(self, typed: str) -> Sequence[str]:
        """Return the command that does what is typed, after what was typed before."""
        before = f". '{self._exports}'" if self._exports.exists() else ""
        return ("bash", "-c", f"set -e\n{before}\n{typed}\nexport -p > '{self._exports}'")

    def type(self, typed: str) -> str:
        """Return what is printed when this is typed."""
        done = subprocess.run(
            self.command(typed),
            cwd=self._clone,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def shows(self, typed: str, lines: Sequence[str]) -> None:
        """Check that these lines are printed, in any order, and no others unless one stands for anything."""
        printed = same(self.type(typed))
        for line in lines:
            assert any(re.fullmatch(line, each) for each in printed), printed
        assert len(printed) == len(lines) or ".*" in lines, printed


class Browser:
    """What is seen in the UI, by the API that the UI asks.

    Args:
        api: That API.
        check: Called before each look; raises where looking on makes no sense.
    """

    def __init__(self, api: AirflowApi, check: Callable[[], None]) -> None:
        self._api = api
        self._check = check

    def task(self, dag_id: str, *states: str) -> TaskInstance:
        """Return the only task of a DAG when it is in one of these states."""

        def found() -> TaskInstance | None:
            tasks = self._api.task_instances(dag_id)
            return next((task for task in tasks if task.state in states), None)

        return until(found, f"{dag_id} is {' or '.join(states)}", check=self._check)

    def reads(self, task: TaskInstance, lines: Sequence[str]) -> None:
        """Wait until lines of a task's log end like these."""

        def are_there() -> bool:
            log = same("\n".join(self._api.log(task)))
            return all(any(re.search(f"{line}$", each) for each in log) for line in lines)

        until(are_there, f"the log of {task.task_id} says {lines}", check=self._check)


def until(look: Callable[[], Answer | None], what: str, *, check: Callable[[], None]) -> Answer:
    """Look until there is something, and return it."""
    deadline = time.monotonic() + LIMIT
    while not (found := look()):
        check()
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone as `make demo` leaves it, as far as the page needs one."""
    (clone := tmp_path / "clone").mkdir()
    (clone / ".venv").symlink_to(sys.prefix)
    return clone


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """What somebody has who logs in for the first time, but for ports, which others may have, and size."""
    port = free_port()
    return {
        "HOME": str(tmp_path),
        "PATH": os.defpath,
        "NO_PROXY": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",  # as on a terminal
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__CORE__PARALLELISM": "2",
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_goes_as_it_says(tmp_path: Path, clone: Path, environment: Mapping[str, str]) -> None:
    """Every command works, prints what is shown, and is followed by what is told; the UI is its API here."""
    page, url = Page(), environment["AIRFLOW__API__BASE_URL"]
    dags = tmp_path / "tutorial" / "dags"
    first = Terminal(clone, environment, tmp_path / "first")
    first.type(page.commands())
    page.save(dags / "shop.py")
    page.save(dags / "report.py")
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(tmp_path / "terminal", environment=environment, cwd=clone))
        processes.start("standalone", first.command(page.commands()))
        printed = processes.log("standalone").read_text

        def told() -> re.Match[str] | None:
            return PASSWORD.search(printed()) if f"{url} " in printed() else None

        password = until(told, "the UI and the password for it are told", check=processes.check)[1]
        api = stack.enter_context(AirflowApi(url, login=("admin", password)))
        ui = Browser(api, processes.check)
        api.unpause("report")
        ui.reads(ui.task("report", "deferred"), page.lines())
        api.unpause("shop")
        report = ui.task("report", *ENDED)
        ui.reads(report, page.lines())
        assert report.state == "success"

        other = Terminal(clone, {**environment, "AIRFLOW_HOME": str(dags.parent)}, tmp_path / "other")
        other.shows(page.commands(), page.lines())
        other.shows(page.commands(), page.lines())
        api.clear(ui.task("shop", *ENDED))
        extract = ui.task("shop", *ENDED)
        assert (extract.state, extract.try_number) == ("success", 2)
        other.shows(page.commands(), page.lines())
        page.save(dags / "test_report.py")
        assert "1 passed" in other.type(page.commands())

        page.save(dags / "shop.py")
        api.clear(extract)
        extract = ui.task("shop", *ENDED)
        assert (extract.state, extract.try_number) == ("failed", 3)
        ui.reads(extract, page.lines())
        other.shows(page.commands(), page.lines())
        processes.kill("standalone", SIGINT)
        until(lambda: LINGERING in printed(), "Ctrl-C is understood", check=lambda: None)
        # On a busy machine Airflow's scheduler may wait for ever then: SIGTERM follows, and strikes its end.
        processes.kill("standalone", SIGHUP)
        until(
            lambda: not processes.is_alive("standalone"), "a closed terminal ends Airflow", check=lambda: None
        )
    assert page.left == []
