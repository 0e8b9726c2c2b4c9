"""`open_store`: the settings, the root, the connection and the storage, put together."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.errors import ConfigError, StorageUnavailableError
from fileflow_async.hooks.store import open_store
from fileflow_async.store import TargetStore
from fileflow_async.testing.clock import FakeClock
from tests.conftest import MakeTarget
from tests.hooks.conftest import AsyncComms, MakeFolders


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An AIRFLOW_HOME that does not exist yet, and nothing configured."""
    home = tmp_path / "airflow home"
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    return home


async def exchange(store: TargetStore, target: MakeTarget) -> None:
    """Commit something, then read it."""
    async with store.write(target(), format="text") as out:
        await out.write(b"hello")
    assert await store.read(target()) == b"hello"


async def test_without_anything_it_is_the_default_root(home: Path, target: MakeTarget) -> None:
    """Which is made, so that a first run needs no preparation."""
    async with open_store() as store:
        await exchange(store, target)
        assert store.root == (home / "fileflow").as_uri()
    assert await asyncio.to_thread((home / "fileflow").is_dir)


async def test_any_other_root_must_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path, target: MakeTarget
) -> None:
    """Row 21: given, configured, or the default one that another process has named."""
    configured = tmp_path / "configured"
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", str(configured))
    for root in (None, tmp_path / "given", (home / "fileflow").as_uri()):
        with pytest.raises(StorageUnavailableError, match=r"does not exist on host .*; is it mounted\?"):
            async with open_store(root):
                pass
    async with open_store(create=True) as store:
        await exchange(store, target)
    assert await asyncio.to_thread(configured.is_dir)


async def test_settings_and_arguments_reach_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An argument wins."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__FEED", "off")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ABANDONED_AFTER", "60")
    async with open_store(tmp_path, clock=clock) as store:
        assert store.feed is None
        assert (store.abandoned_after, store.clock) == (60.0, clock)
    assert "durability is none" not in caplog.text
    caplog.set_level("INFO")
    async with open_store(tmp_path, feed=True, abandoned_after=5, durability="none") as store:
        assert store.feed is not None
        assert store.abandoned_after == 5.0
    assert "durability is none" in caplog.text
    with pytest.raises(ConfigError, match="abandoned_after must be a positive number"):
        async with open_store(tmp_path, abandoned_after=0):
            pass


async def test_a_configured_connection_opens_the_configured_root_only(
    monkeypatch: pytest.MonkeyPatch, comms: AsyncComms, folders: MakeFolders, target: MakeTarget
) -> None:
    """Its credentials must not go to another place because somebody named one."""
    mine, other = await folders("mine", "other")
    comms.connections["files"] = {"conn_type": "fs", "extra": json.dumps({"path": str(mine)})}
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", str(mine))
    monkeypatch.setenv("AIRFLOW__FILEFLOW__CONN_ID", "files")
    async with open_store() as store:
        await exchange(store, target)
    assert comms.asked == ["files"]
    async with open_store(other) as store:
        await exchange(store, target)
    assert comms.asked == ["files"]
    with pytest.raises(ConfigError, match="the path of connection 'files'"):
        async with open_store(other, "files"):
            pass
    comms.connections["fence"] = {"conn_type": "fs", "extra": json.dumps({"path": str(other)})}
    with pytest.raises(ConfigError, match="the path of connection 'fence'"):
        async with open_store(conn_id="fence"):
            pass


async def test_a_connection_changes_nothing_about_how_a_folder_is_opened(
    comms: AsyncComms, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is made, and durable or not, as without one."""
    comms.connections["files"] = {"conn_type": "fs"}
    caplog.set_level("INFO")
    async with open_store(tmp_path / "new", "files", create=True, durability="none") as store:
        assert store.root == f"file://{tmp_path}/new"
    assert "durability is none" in caplog.text


async def test_airflow_cfg_is_not_read_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path
) -> None:
    """Where Airflow is not loaded, the file is read; the guard of the loop would see it."""
    for module in ("airflow.configuration", "airflow.sdk.configuration"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    await asyncio.to_thread(home.mkdir)
    await asyncio.to_thread((home / "airflow.cfg").write_text, f"[fileflow]\nroot = {tmp_path}\n")
    async with open_store() as store:
        assert store.root == f"file://{tmp_path}"


@pytest.mark.parametrize(
    ("root", "conn_type", "message"),
    [
        ("/data", "aws", "connection 'x' is of type 'aws', a root on disk needs 'fs'"),
        ("s3://lake/ff", "fs", "connection 'x' is of type 'fs', S3 needs 'aws'"),
        ("s3://lake/ff", "", "connection 'x' is of type None, S3 needs 'aws'"),
    ],
)
async def test_the_connection_must_fit_the_root(
    comms: AsyncComms, root: str, conn_type: str, message: str
) -> None:
    """Before anything is opened."""
    comms.connections["x"] = {"conn_type": conn_type}
    with pytest.raises(ConfigError) as caught:
        async with open_store(root, "x"):
            pass
    assert str(caught.value) == message


async def test_a_missing_connection_is_named(comms: AsyncComms) -> None:
    """Row 20 of the catalogue of bad inputs."""
    with pytest.raises(ConfigError) as caught:
        async with open_store("s3://lake/ff", "aws_x"):
            pass
    assert str(caught.value) == "connection 'aws_x' does not exist"


@pytest.mark.parametrize(
    ("root", "allowed", "configured", "refused"),
    [
        ("s3://other/ff", "lake", None, True),
        ("s3://other/ff", "lake", "s3://own/ff", True),
        ("s3://other/ff", "lake", "broken", True),
        ("s3://other/ff", "lake", "/data", True),
        ("s3://lake/ff", "lake", None, False),
        ("s3://own/x", "lake", "s3://own/ff", False),
        ("s3://other/ff", "", "s3://own/ff", False),
        (None, "lake", "s3://own/ff", False),
    ],
)
async def test_a_root_that_is_given_must_be_in_an_allowed_bucket(
    monkeypatch: pytest.MonkeyPatch,
    comms: AsyncComms,
    root: str | None,
    allowed: str,
    configured: str | None,
    refused: bool,
) -> None:
    """Row 17; what is allowed is the administrator's matter, so the configured root always is."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ALLOWED_BUCKETS", allowed)
    if configured is not None:
        monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", configured)
    with pytest.raises(ConfigError) as caught:
        async with open_store(root, "absent"):
            pass
    expected = "bucket 'other' is not in allowed_buckets" if refused else "connection 'absent' does not exist"
    assert str(caught.value) == expected


async def test_a_root_that_is_not_set_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Row 12; a root that is given makes up for it."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", "")
    with pytest.raises(ConfigError) as caught:
        async with open_store():
            pass
    assert str(caught.value) == "[fileflow] root is not set (or AIRFLOW__FILEFLOW__ROOT)"
    async with open_store(tmp_path):
        pass


async def test_an_error_in_the_block_closes_the_store_and_passes(tmp_path: Path) -> None:
    """Whoever opens, closes."""
    with pytest.raises(ZeroDivisionError):
        async with open_store(tmp_path):
            raise ZeroDivisionError


async def test_a_misspelt_argument_is_a_type_error(tmp_path: Path) -> None:
    """Nothing is silently swallowed; what follows the connection goes by name."""
    arguments: dict[str, Any] = {"durabilty": "none"}
    with pytest.raises(TypeError, match="durabilty"):
        open_store(tmp_path, **arguments)
    positional: list[Any] = [tmp_path, None, True]
    with pytest.raises(TypeError, match="positional"):
        open_store(*positional)


def test_a_script_without_airflow_opens_a_store(home: Path, tmp_path: Path) -> None:
    """airflow.cfg is read, Airflow never imported."""
    home.mkdir()
    (home / "airflow.cfg").write_text(f"[fileflow]\nroot = {tmp_path}\n")
    code = (
        "import sys, asyncio; sys.modules['airflow'] = None\n"
        "from fileflow_async.hooks.store import open_store\n"
        "async def main():\n"
        "    async with open_store() as store: print(store.root)\n"
        "asyncio.run(main())\n"
        "assert not {'aiobotocore', 'botocore', 'pandas'} & set(sys.modules)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == f"file://{tmp_path}\n"


def test_stores_can_be_opened_in_many_loops_at_once(tmp_path: Path) -> None:
    """A triggerer has one loop, a test or a worker may have several."""

    async def root() -> str:
        async with open_store(tmp_path) as store:
            await asyncio.sleep(0)
            return store.root

    assert {asyncio.run(root()) for _ in range(3)} == {f"file://{os.fspath(tmp_path)}"}
