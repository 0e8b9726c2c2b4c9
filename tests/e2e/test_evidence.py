"""What the end-to-end run takes for evidence."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.airflow_api import TaskInstance
from tests.e2e import __main__ as program, aftermath
from tests.e2e.account import Account, FailedCheckError
from tests.e2e.logs import Logs

TASK = TaskInstance("waits", "run", "wait_1", -1, "success", 1, None, None)
RECORD = {"timestamp": "2026-11-20T12:00:00.500000Z", "level": "info", "event": "Trigger fired event"}
PRINTED = "2026-11-20T12:00:01.500000Z [info     ] Trigger fired event            "


@pytest.mark.parametrize(
    "line",
    [
        '  File "/venv/lib/python3.11/site-packages/fileflow_async/store.py", line 1, in read',
        json.dumps({**RECORD, "error_detail": [{"frames": [{"filename": "/x/fileflow_async/store.py"}]}]}),
        '{"error_detail":[{"frames":[{"filename":"/x/fileflow_async/store.py","lineno":1}]}]}',
        "2026-11-20T12:00:00Z [error    ] Trigger runner failed",
    ],
)
def test_a_complaint_is_found_in_a_log(tmp_path: Path, line: str) -> None:
    """As Python prints it, and as Airflow writes it into a record."""
    log = tmp_path / "attempt=1.log"
    log.write_text("a line before\n")
    assert list(aftermath.complaints(log)) == []
    log.write_text(f"a line before\n{line}\n")
    assert len(list(aftermath.complaints(log))) == 1


def test_what_our_modules_merely_say_is_no_complaint(tmp_path: Path) -> None:
    """A record has the name of the file that wrote it, without its folder."""
    log = tmp_path / "attempt=1.log"
    log.write_text(json.dumps({**RECORD, "logger": "fileflow_async.store", "filename": "store.py"}))
    assert list(aftermath.complaints(log)) == []


def test_a_trigger_fires_in_its_tasks_log_or_in_its_triggerers(tmp_path: Path) -> None:
    """Each time is counted, and none of another task."""
    folder = tmp_path / "logs" / "dag_id=waits" / "run_id=run" / "task_id=wait_1"
    folder.mkdir(parents=True)
    (tmp_path / "processes").mkdir()
    triggerer = tmp_path / "processes" / "triggerer-1.log"
    triggerer.write_text(f"{PRINTED} name='waits/run/wait_11/-1/1 (ID 7)'\n")
    logs = Logs(tmp_path, ("triggerer-1",))
    assert logs.fired(TASK) == []
    (folder / "attempt=1.log.trigger.3.log").write_text(
        json.dumps({**RECORD, "name": "waits/run/wait_1/-1/1 (ID 6)"})
    )
    with triggerer.open("a") as file:
        file.write(f"{PRINTED} name='waits/run/wait_1/-1/1 (ID 6)'\n")
    assert sorted(line.moment.microsecond + line.moment.second for line in logs.fired(TASK)) == [
        500000,
        500001,
    ]


def test_what_is_not_so_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The message has what should be so, and what is instead."""
    account = Account()
    account.check(True, "two and two are four")
    with pytest.raises(FailedCheckError, match="two and two are five; but 4"):
        account.check(False, "two and two are five", else_=4)
    assert (account.checked, capsys.readouterr().out.count("✓")) == (1, 1)


@pytest.mark.parametrize(("is_so", "missing", "code"), [(True, [], 0), (False, [], 1), (True, ["redis"], 2)])
def test_the_exit_code_says_whether_all_is_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_so: bool,
    missing: list[str],
    code: int,
) -> None:
    """Whoever runs it unattended looks at nothing else; the logs of what was not so are kept."""
    folder = tmp_path / "logs"

    @contextmanager
    def team(_folder: Path, account: Account) -> Iterator[Account]:
        yield account

    def part(account: Account) -> None:
        account.check(is_so, "it is so")

    def make_folder(**_: object) -> str:
        folder.mkdir()
        return str(folder)

    monkeypatch.setattr("tests.e2e.servers.missing", lambda: missing)
    monkeypatch.setattr("tests.s3_servers.radosgw.missing", list)
    monkeypatch.setattr(program, "Team", team)
    monkeypatch.setattr(program, "_PARTS", {"part": part})
    monkeypatch.setattr(aftermath, "run", lambda account: None)
    monkeypatch.setattr("tempfile.mkdtemp", make_folder)
    monkeypatch.setattr("sys.argv", ["e2e"])
    assert program.main() == code
    assert folder.exists() is (code == 1)
    assert ("not so: it is so" in capsys.readouterr().err) is (code == 1)
