"""docs/command-line.md shows what the commands print."""

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from fileflow_async import Producer, formats
from fileflow_async.cli import machine_checks
from fileflow_async.cli.command_line import COMMANDS
from fileflow_async.cli.exits import Exit
from fileflow_async.manifest import Input
from fileflow_async.storage_drivers import FileStorageDriver
from fileflow_async.store import TargetStore
from tests.cli.conftest import Planted, Run
from tests.pages import DOCS, blocks, steady

PAGE = DOCS / "command-line.md"
COMMAND = re.compile(r"^\$ fileflow (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
# What is another one each time beside names and moments: sizes of disks and of records.
CHANGING = (
    (re.compile(r"[\d.]+ of [\d.]+ GB"), "N of N GB"),
    (re.compile(r"(\.ok +)\d+"), r"\1N"),
    (re.compile(r"is on \w+"), "is on FILESYSTEM"),
    (re.compile(r"(?<=removed, )\d+ bytes"), "N bytes"),
)
RUN = "shop/20261120T000000Z"
ORDERS, CLEAN, REPORT = (f"{RUN}/{task}/output" for task in ("orders", "clean", "report"))


@pytest.fixture
def shop(store: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """The store that the page is about: a run of a shop, and what the original has left."""

    def by(task_id: str, try_number: int = 1) -> Producer:
        return Producer(dag_id="shop", task_id=task_id, run_id="scheduled__2026-11-20", try_number=try_number)

    async def ordered(opened: TargetStore, try_number: int, amounts: Sequence[int]) -> Input:
        async with opened.write(ORDERS, format="csv", producer=by("orders", try_number)) as out:
            await formats.write(out, [{"id": id, "amount": amount} for id, amount in enumerate(amounts, 1)])
        assert out.reference is not None
        return Input(target=ORDERS, data=out.reference.data, sha256=out.reference.sha256)

    async def work(opened: TargetStore) -> None:
        await ordered(opened, 1, [10, 20, 30])
        orders = await ordered(opened, 2, [10, 20, 30, 40, 50, 60, 70])
        async with opened.write(CLEAN, format="csv", producer=by("clean"), inputs=[orders]) as out:
            out.checks = [{"name": "not_empty", "passed": True, "blocking": True, "message": None}]
            await formats.write(out, [{"id": 1, "amount": 10}])
        await ordered(opened, 3, [11])
        await opened.fail(REPORT, error="KeyError: 'amount'", producer=by("report"))

    store.work(work)
    driver = FileStorageDriver(prefix=str(tmp_path / "storage"))
    driver.write("shop", "orders", date(2016, 1, 1), "id,amount\n1,10\n")
    (tmp_path / "storage" / "notes.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "5")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "set")
    # Whatever the machine that runs this is short of.
    monkeypatch.setattr(machine_checks, "_LITTLE", 0.0)
    monkeypatch.setattr(machine_checks, "_LEAST", {})
    monkeypatch.setattr(machine_checks, "_NETWORK", ())
    return store


def same(text: str) -> list[str]:
    for pattern, instead in CHANGING:
        text = pattern.sub(instead, text)
    return steady(text)


def sessions() -> list[tuple[str, str]]:
    return [each for session in blocks(PAGE, "console") for each in COMMAND.findall(session.text)]


def test_every_command_prints_what_the_page_shows(fileflow: Run, shop: Planted) -> None:
    """From top to bottom; only names of attempts, moments and sizes differ."""
    shown = sessions()
    assert {arguments.split()[0] for arguments, _ in shown} == set(COMMANDS)
    for arguments, expected in shown:
        ended = fileflow(*arguments.split())
        printed = (ended.err + ended.out).replace(shop.root, "file:///data/ff")
        assert same(printed) == same(expected), arguments


def test_every_option_and_exit_code_is_on_the_page(fileflow: Run) -> None:
    page = PAGE.read_text()
    for command in COMMANDS:
        for option in re.findall(r"(?<![\w-])--[a-z-]+", fileflow(command, "--help").out):
            assert f"`{option}" in page or option == "--help", (command, option)
    rows = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert [int(row) for row in rows] == [int(code) for code in Exit]
