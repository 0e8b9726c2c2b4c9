"""Open a store: the one way that triggers, operators, task runs and commands share."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from importlib import import_module
from typing import Any, Literal

from fileflow_async.aside import aside
from fileflow_async.clock import Clock
from fileflow_async.config import SECTION, Settings, configured, default_root
from fileflow_async.errors import ConfigError
from fileflow_async.hooks.connection import connection
from fileflow_async.storage.protocol import Storage
from fileflow_async.storage.resolve import LocalRoot, Root, S3Root, open_storage, parse_root
from fileflow_async.storage.retry import BRIEF, PATIENT, Budget
from fileflow_async.store import TargetStore


@asynccontextmanager
async def open_store(
    root: str | os.PathLike[str] | None = None,
    conn_id: str | None = None,
    *,
    create: bool = False,
    durability: Literal["fsync", "none"] | None = None,
    feed: Literal["on", "off"] | bool | None = None,
    abandoned_after: float | None = None,
    impatient: bool = False,
    clock: Clock | None = None,
) -> AsyncIterator[TargetStore]:
    """Open the store of a root, and close it when the block ends.

    Airflow is needed only where there is a connection to look up. What is left out is taken from the
    `[fileflow]` settings; their `conn_id` belongs to their `root`: it is not used for one that is given here.

    Args:
        root: `s3://bucket/prefix`, `file:///path` or `/path`.
        conn_id: The Airflow connection that opens it: of type `fs` for a folder, `aws` for S3. Without one, a
            folder is opened as it is, and S3 with the credentials that the machine has.
        create: Make the folder of a root on disk where it is missing. Where nothing is configured, the
            default root is made anyway; any other that is missing is more often a share that is not mounted.
        durability: `fsync` or `none`.
        feed: Whether commits are announced to those who wait.
        abandoned_after: From what age on, in seconds, an attempt without a commit counts as abandoned.
        impatient: Give S3's faults that may pass ten seconds instead of two minutes: for whoever asks again.
        clock: Where the time comes from.

    Raises:
        ConfigError: A setting, the root or the connection is wrong.
        StorageUnavailableError: The root cannot be reached for now.
        TargetAccessError: It may not be used.
    """
    given = {"durability": durability, "feed": feed, "abandoned_after": abandoned_after}
    settings, where, is_default = await aside(_plan, root, conn_id, given)  # it may read airflow.cfg
    budget = BRIEF if impatient else PATIENT
    storage = await _storage(where, settings, create=create or is_default, budget=budget)
    async with storage as opened:
        yield TargetStore(
            opened, clock=clock, feed=settings.feed == "on", abandoned_after=settings.abandoned_after
        )


def _plan(
    root: str | os.PathLike[str] | None, conn_id: str | None, given: dict[str, Any]
) -> tuple[Settings, Root, bool]:
    """Settle what was asked for: the settings, where the store lies, whether that is the default place."""
    if root is None:
        settings = Settings.load(conn_id=conn_id, **given)
        where = parse_root(settings.root)
    else:
        settings = replace(Settings.load(root=root, **given), conn_id=conn_id)
        where = parse_root(settings.root, allowed_buckets=_allowed(settings))
    # Here, in a thread: on an event loop it would keep everybody else for 50 ms and more.
    import_module(f"fileflow_async.storage.{'local' if isinstance(where, LocalRoot) else 's3'}")
    return settings, where, root is None and settings.root == default_root()


def _allowed(settings: Settings) -> tuple[str, ...]:
    """Return the buckets that a root given by a task may be in; that of the configured root always is one."""
    if not settings.allowed_buckets:
        return ()
    with suppress(ConfigError):  # where no good root is configured, there is no other to allow
        own = parse_root(configured(SECTION, "root") or "")
        if isinstance(own, S3Root):
            return (*settings.allowed_buckets, own.bucket)
    return settings.allowed_buckets


async def _storage(
    where: Root, settings: Settings, *, create: bool, budget: Budget
) -> AbstractAsyncContextManager[Storage]:
    if settings.conn_id is None:
        return open_storage(where, durability=settings.durability, create=create, budget=budget)
    await connection(settings.conn_id)  # loads Airflow off the loop, or says that there is none
    if isinstance(where, LocalRoot):
        from fileflow_async.hooks.local import LocalStorageHook

        hook = LocalStorageHook(settings.conn_id)
        return hook.open_storage(where, durability=settings.durability, create=create)
    from fileflow_async.hooks.s3 import S3StorageHook

    return S3StorageHook(settings.conn_id).open_storage(where, budget=budget)
