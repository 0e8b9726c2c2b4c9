"""The stores behind a trigger's targets."""

import pytest

from fileflow_async import open_store
from fileflow_async.storage.retry import BRIEF, PATIENT
from fileflow_async.storage.s3 import S3Storage


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
