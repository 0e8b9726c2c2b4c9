"""`doctor`, and what each of its checks says."""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from fileflow_async.cli import airflow_checks, machine_checks, store_checks
from fileflow_async.cli.exits import Exit
from fileflow_async.cli.findings import Finding, Verdict
from fileflow_async.config import Settings
from fileflow_async.errors import TargetAccessError, TargetSupersededError
from fileflow_async.storage.protocol import BINARY, Entry, Listing
from fileflow_async.store import TargetStore
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.cli.conftest import Planted, Run


def verdicts(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.check: str(finding.verdict) for finding in findings}


def test_a_machine_on_which_all_is_well(fileflow: Run, any_store: Planted) -> None:
    """Each line says what was found; nothing is left behind."""
    ended = fileflow("doctor", "--no-airflow")
    assert ended.code == Exit.OK, ended.out
    payload = fileflow("doctor", "--no-airflow", "--json").payload
    assert payload["ok"] is True
    found = {each["check"]: each["verdict"] for each in payload["findings"]}
    for check in ("settings", "root", "write", "read", "list", "delete", "clock", "conditional writes"):
        assert found[check] == "ok", check
    assert ("uploads" in found) == any_store.root.startswith("s3:")
    assert ("disk" in found) == any_store.root.startswith("file:")
    assert fileflow("ls").out == ""

    async def rest(opened: TargetStore) -> list[str]:
        return [entry.key for entry in (await opened.storage.list()).entries]

    assert any_store.work(rest) == []


def test_what_must_be_mended_makes_it_one(fileflow: Run, store: Planted, tmp_path: Path) -> None:
    """With the other checks, as far as they can be made."""
    ended = fileflow("doctor", "--no-airflow", "--root", str(tmp_path / "gone"))
    assert ended.code == Exit.NO
    assert "wrong   root: " in ended.out
    assert "        Make the folder, or mount it" in ended.out
    assert "heartbeat" in ended.out
    ended = fileflow("doctor", "--no-airflow", "--root", "relative")
    assert ended.code == Exit.NO
    assert "        Write it as /path or file:///path.\n" in ended.out


class _Refusing(MemoryStorage):
    """Refuses what it is told to."""

    def __init__(self, *refused: str, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.refused = refused

    def _check(self, what: str) -> None:
        if what in self.refused:
            raise TargetAccessError(f"{what} is not allowed")

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY, durable: bool = True) -> Entry:
        self._check("put")
        return await super().put(key, data, content_type=content_type, durable=durable)

    async def read(self, key: str) -> bytes:
        self._check("read")
        return await super().read(key)

    async def list(
        self, prefix: str = "", *, start_after: str = "", limit: int | None = None, shallow: bool = False
    ) -> Listing:
        self._check("list")
        return await super().list(prefix, start_after=start_after, limit=limit, shallow=shallow)

    async def delete(self, keys: Iterable[str]) -> None:
        self._check("delete")
        await super().delete(keys)


async def tried(storage: MemoryStorage, clock: FakeClock) -> dict[str, str]:
    return verdicts([each async for each in store_checks.findings(TargetStore(storage, clock=clock))])


@pytest.mark.parametrize(
    ("refused", "wrong", "advised"),
    [
        ("put", ["write"], []),
        ("read", ["read"], []),
        ("list", ["list"], []),
        ("delete", [], ["delete"]),
    ],
)
async def test_each_right_that_is_missing_is_named(
    refused: str, wrong: Sequence[str], advised: Sequence[str], clock: FakeClock
) -> None:
    """Only cleaning up needs to remove: who may not, still does all the rest."""
    found = await tried(_Refusing(refused, clock=clock), clock)
    assert [check for check, verdict in found.items() if verdict == "wrong"] == wrong
    assert [check for check, verdict in found.items() if verdict == "advice"] == advised


@pytest.mark.parametrize(("seconds", "verdict"), [(0, "ok"), (4, "ok"), (30, "wrong"), (-30, "wrong")])
async def test_clocks_that_disagree_are_named(seconds: float, verdict: str) -> None:
    """The order of attempts goes by them."""
    ours = FakeClock(1_790_000_000.0)
    storage = MemoryStorage(clock=FakeClock(1_790_000_000.0 + seconds))
    assert (await tried(storage, ours))["clock"] == verdict


async def test_a_store_without_conditional_writes_is_only_told_of(clock: FakeClock) -> None:
    """Nothing depends on them."""

    class Replacing(MemoryStorage):
        async def put(
            self, key: str, data: bytes, *, content_type: str = BINARY, durable: bool = True
        ) -> Entry:
            try:
                return await super().put(key, data, content_type=content_type, durable=durable)
            except TargetSupersededError:
                self.objects[key] = (data, self.clock.time())
                return await self.stat(key)

    found = await tried(Replacing(clock=clock), clock)
    assert (found["conditional writes"], found["read"]) == ("advice", "ok")


def test_a_system_without_inotify_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(machine_checks, "Inotify", none)
    assert machine_checks._inotify().verdict is Verdict.ADVICE
    assert "Too many open files" in machine_checks._inotify().what


def test_limits_of_inotify_that_are_low_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "_INOTIFY", tmp_path)
    assert machine_checks._inotify().verdict is Verdict.UNKNOWN
    (tmp_path / "max_user_instances").write_text("128\n")
    (tmp_path / "max_user_watches").write_text("100\n")
    assert machine_checks._inotify().hint == "sysctl fs.inotify.max_user_watches=8192"
    (tmp_path / "max_user_watches").write_text("8192\n")
    assert machine_checks._inotify().verdict is Verdict.OK


@pytest.mark.parametrize(
    ("interval", "wait", "verdict"),
    [
        ("1", None, "ok"),
        ("5", None, "advice"),
        ("5", "2", "wrong"),
        ("soon", None, "wrong"),
        (None, "6", "advice"),
    ],
)
def test_the_heartbeat_and_the_wait_must_fit(
    interval: str | None, wait: str | None, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks fail that resume while their worker still exits."""
    if interval is not None:
        monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", interval)
    if wait is not None:
        monkeypatch.setenv("AIRFLOW__FILEFLOW__MIN_DEFER_SECONDS", wait)
    assert verdicts(airflow_checks.settings_findings(Settings.load()))["heartbeat"] == verdict


def test_the_fernet_key_may_come_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not shown, wherever it comes from."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    assert verdicts(airflow_checks.settings_findings(Settings.load()))["fernet key"] == "advice"
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY_CMD", "pass show fernet")
    assert verdicts(airflow_checks.settings_findings(Settings.load()))["fernet key"] == "ok"
    monkeypatch.delenv("AIRFLOW__CORE__FERNET_KEY_CMD")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "planted-fernet")
    found = list(airflow_checks.settings_findings(Settings.load()))
    assert verdicts(found)["fernet key"] == "ok"
    assert "planted" not in str(found)


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a script stand in for Python."""

    def make(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return make


@pytest.mark.parametrize(
    ("code", "printed", "found", "says"),
    [
        (0, "Found 2 alive jobs.", "ok ok", "2 triggerers are alive"),
        (0, "", "ok ok", "a triggerer is alive"),
        (1, "No alive jobs found.", "wrong wrong", "no triggerer is alive"),
        (1, "Traceback\nsqlite3.OperationalError: no such table\n  noise", "wrong unknown", "no such table"),
        (1, "", "wrong unknown", "it printed nothing"),
    ],
)
def test_what_airflow_answers_is_understood(
    code: int, printed: str, found: str, says: str, python: Callable[[str], None]
) -> None:
    """And what it says when it is broken is passed on, never a traceback."""
    python(f"echo '{printed}'\nexit {code}")
    both = airflow_checks.importable(), airflow_checks.triggerer()
    assert [str(finding.verdict) for finding in both] == found.split()
    assert says in both[1].what
    assert "Traceback" not in both[1].what


def test_an_airflow_that_hangs_is_unknown(
    python: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its process is gone afterwards."""
    python(f"echo $$ > {tmp_path}/pid\nexec sleep 600")
    monkeypatch.setattr(airflow_checks, "_PATIENCE", 0.5)
    assert airflow_checks.importable().verdict is Verdict.UNKNOWN
    assert airflow_checks.triggerer().verdict is Verdict.UNKNOWN
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_airflow_itself_is_asked(fileflow: Run, store: Planted) -> None:
    """The triggers can be imported; of a database that was never made nothing is known."""
    payload = fileflow("doctor", "--json").payload
    found = {each["check"]: each for each in payload["findings"]}
    assert found["import"]["verdict"] == "ok"
    assert found["triggerer"]["verdict"] == "unknown"
    assert "no such table" in found["triggerer"]["what"]
