"""Records of a later version: a reader says so, and serves nothing older in their place."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from fileflow_async.errors import FormatError
from fileflow_async.retention import Rules, gc
from fileflow_async.status import State
from fileflow_async.store import TargetStore
from tests import airflow_harness as airflow_harness  # before anything else imports Airflow
from tests.conftest import AnyStore
from tests.crash.tally import Tally
from tests.crash.waits import wait
from tests.crash.works import KEY
from tests.planting import NEW, OLD, put, record_for

WHAT = "uses of records of other versions"
DATA = b"of another version"
# As the first version wrote them; whatever comes later has to read them.
FIRST = (
    '{{"fileflow": 1, "data": "{name}", "size": {size}, "sha256": "{sha256}"}}',
    (
        '{{"fileflow":1,"data":"{name}","size":{size},"sha256":"{sha256}","etag":null,"format":"csv",'
        '"content_type":"text/csv","encoding":"utf-8","compression":null,"rows":3,"columns":[["id","int64"]],'
        '"stats":{{}},"producer":{{"dag_id":"shop","task_id":"extract","run_id":"r","map_index":-1,"try":1,'
        '"ti_id":"0199689b-7f00-7000-8000-000000000000"}},"slot":"20261120T000000Z","interval":null,"inputs":[],'
        '"checks":[],"started":"2026-11-20T10:15:02.123Z","committed":"2026-11-20T10:15:09.000Z"}}'
    ),
)


def later(name: str, **more: Any) -> bytes:
    """Return what a later version may write: the number, and things that nobody knows today."""
    return record_for(name, DATA, fileflow=2, chunks=[{"at": 0}], **more)


async def planted(any_store: AnyStore, name: str, record: bytes) -> TargetStore:
    await any_store.plant(f"{KEY}/{name}", DATA)
    await any_store.plant(f"{KEY}/{name}.ok", record)
    return any_store.store


async def test_a_later_version_is_refused_by_name(any_store: AnyStore, tally: Tally) -> None:
    """By each way of reading; the older value below is not taken for it, and nothing is removed."""
    await planted(any_store, f"{OLD}.csv", record_for(f"{OLD}.csv", DATA))
    store = await planted(any_store, f"{NEW}.csv", later(f"{NEW}.csv"))
    refusal = "uses format 2; this version reads 1"
    for use in (store.read(KEY), _streamed(store), store.version(KEY)):
        with pytest.raises(FormatError, match=refusal):
            await use
        tally.add("refused by its number")
    status = await store.state(KEY)
    assert status.state is State.CORRUPT
    assert refusal in status.why
    newest, older = await store.history(KEY)
    assert newest.state is State.CORRUPT
    assert older.is_committed
    keys = await any_store.keys()
    await gc(store, dry_run=False, rules=Rules(commits=1, commits_for=0, orphans_for=0))
    assert {key for key in keys if NEW in key} <= set(await any_store.keys())
    tally.add("kept by a clean-up")


async def test_a_wait_for_it_fails_at_once_and_says_why(any_store: AnyStore, tally: Tally) -> None:
    """It would wait for ever: nothing but an upgrade helps."""
    if any_store.kind != "local":
        pytest.skip("the wait opens the store by its root: one storage is enough")
    store = await planted(any_store, f"{NEW}.csv", later(f"{NEW}.csv"))
    async with asyncio.timeout(20):
        event = await wait(store.root, KEY)
    assert event.outcome == "corrupt"
    assert "uses format 2; this version reads 1" in event.missing[0].why
    tally.add("waits that failed")


async def test_what_is_committed_after_a_downgrade_is_the_value(any_store: AnyStore, tally: Tally) -> None:
    """A newer attempt of the older version stands above it."""
    store = await planted(any_store, f"{OLD}.csv", later(f"{OLD}.csv"))
    await put(store, KEY, b"anew")
    assert await store.read(KEY) == b"anew"
    tally.add("replaced")


@pytest.mark.parametrize("text", FIRST, ids=["least", "full"])
async def test_records_of_the_first_version_are_read(any_store: AnyStore, tally: Tally, text: str) -> None:
    """For as long as there are any."""
    name = f"{OLD}.csv"
    record = text.format(name=name, size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
    store = await planted(any_store, name, record.encode())
    assert await store.read(KEY) == DATA
    tally.add("read")


async def test_keys_that_a_later_version_adds_are_ignored(any_store: AnyStore, tally: Tally) -> None:
    """As long as it keeps the number."""
    record = json.loads(record_for(f"{OLD}.csv", DATA)) | {"chunks": [1], "producer": {"pod": "a"}}
    store = await planted(any_store, f"{OLD}.csv", json.dumps(record).encode())
    assert await store.read(KEY) == DATA
    tally.add("read")


async def _streamed(store: TargetStore) -> bytes:
    async with store.open(KEY) as pieces:
        return b"".join([piece async for piece in pieces])
