"""The stores behind a trigger's targets."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from fileflow_async import open_store
from fileflow_async.storage.retry import BRIEF, PATIENT
from fileflow_async.storage.s3 import S3Storage
from fileflow_async.testing.clock import FakeClock
from fileflow_async.triggers.stores import Store, Stores, stores_of
from fileflow_async.watch import Inbox


@pytest.mark.parametrize(("impatient", "budget"), [(True, BRIEF), (False, PATIENT)])
async def test_who_asks_again_anyway_lets_s3_give_up_soon(
    monkeypatch: pytest.MonkeyPatch, impatient: bool, budget: object
) -> None:
    """Two minutes of retries below each look would be a burden in an outage."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted")
    async with open_store("s3://lake/ff", impatient=impatient) as store:
        assert isinstance(store.storage, S3Storage)
        assert store.storage._budget is budget


@pytest.mark.parametrize("name", ["*", "customers,orders"])
def test_a_set_elsewhere_is_given_by_its_uri(name: str) -> None:
    """As a target is: the folder is the task's, and the store that in which any of its targets would be."""
    uri = f"file:///else/where/shop/20261120T000000Z/extract/{name}"
    (store,) = stores_of("file:///lake", [uri], None)
    assert store == Store("file:///else/where", None, {f"shop/20261120T000000Z/extract/{name}": uri})


async def test_only_what_was_named_is_looked_at_again() -> None:
    """At the deadline: what is there already costs no request."""
    asked: list[list[str]] = []

    class Share:
        async def refresh(self, keys: Collection[str]) -> None:
            await asyncio.sleep(0)
            asked.append(list(keys))

    both = [Store("file:///a", None, {"k1": "one", "k2": "two"}), Store("file:///b", None, {"k3": "three"})]
    stores: Any = Stores(both, Inbox(), interval=5.0, clock=FakeClock())
    stores._shares = (Share(), Share())
    await stores.refresh(["two"])
    assert sorted(asked) == [[], ["k2"]]
