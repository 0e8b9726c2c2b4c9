"""Open S3 through an Airflow connection of type `aws`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseHook

from fileflow_async.errors import ConfigError, FileflowError
from fileflow_async.hooks.aws_extra import bucket_of, settings_of
from fileflow_async.hooks.connection import connection, fetch, run_synchronously
from fileflow_async.storage.protocol import Storage
from fileflow_async.storage.resolve import S3Root, open_storage, parse_root
from fileflow_async.storage.retry import PATIENT, Budget
from fileflow_async.storage.s3_errors import diagnose
from fileflow_async.storage.s3_settings import S3Settings

_PATIENCE = 30.0  # seconds: somebody looks at a form meanwhile


class S3StorageHook(BaseHook):
    """Open S3 with what an `aws` connection says, in the words of Airflow's Amazon provider.

    `aws_extra` tells which of them; what else the extra holds is named in a warning.

    Args:
        aws_conn_id: The connection's id.
    """

    conn_name_attr: ClassVar[str] = "aws_conn_id"
    default_conn_name: ClassVar[str] = "aws_default"
    conn_type: ClassVar[str] = "aws"
    hook_name: ClassVar[str] = "Amazon Web Services"

    def __init__(self, aws_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = aws_conn_id

    async def settings(self) -> S3Settings:
        """Return how to reach S3.

        Raises:
            ConfigError: The connection does not exist, is of another type or contradicts itself.
        """
        return settings_of(await connection(self.conn_id))

    @asynccontextmanager
    async def open_storage(self, root: S3Root | str, *, budget: Budget = PATIENT) -> AsyncIterator[Storage]:
        """Open the storage of a root in S3; see `storage.resolve.open_storage`.

        Raises:
            ConfigError: As `settings`.
        """
        where = root if isinstance(root, S3Root) else parse_root(root)
        if not isinstance(where, S3Root):
            raise ConfigError(f"connection {self.conn_id!r} is of type 'aws', which does not open {where}")
        async with open_storage(where, s3_settings=await self.settings(), budget=budget) as storage:
            yield storage

    def test_connection(self) -> tuple[bool, str]:
        """Try to list the connection's bucket, else all buckets, as Airflow's button Test does."""
        try:
            return True, run_synchronously(_try(self.conn_id))
        except FileflowError as error:
            return False, str(error)
        except TimeoutError:
            return False, f"S3 did not answer within {_PATIENCE:g} s"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form of a connection looks."""
        return {
            "hidden_fields": ["host", "schema", "port"],
            "relabeling": {"login": "AWS Access Key ID", "password": "AWS Secret Access Key"},
            "placeholders": {
                "extra": '{"region_name": "eu-west-1", "service_config": {"s3": {"bucket_name": "lake"}}}'
            },
        }


async def _try(conn_id: str) -> str:
    """Ask S3 something that costs nothing, and return what that has shown."""
    from fileflow_async.storage.retry import BRIEF
    from fileflow_async.storage.s3 import S3Storage

    details = await fetch(conn_id)
    settings = settings_of(details)
    async with asyncio.timeout(_PATIENCE):
        if (bucket := bucket_of(details)) is None:
            return await _try_without_bucket(settings)
        async with S3Storage(bucket, settings=settings, budget=BRIEF) as storage:
            await storage.list(limit=1)
    return f"bucket {bucket!r} can be listed"


async def _try_without_bucket(settings: S3Settings) -> str:
    from fileflow_async.storage.s3_client import shared_client

    try:
        async with shared_client(settings) as shared, shared.borrowed() as client:
            buckets = (await client.list_buckets())["Buckets"]
    except FileflowError:
        raise
    except Exception as error:
        found = diagnose(error).text
        if found == "403 AccessDenied":  # what least privilege should get; wrong keys get another code
            return "the credentials are good, but may not list buckets; name one in service_config to test it"
        raise ConfigError(f"connection {settings.conn_id!r}: S3 cannot be used: {found}") from None
    return f"{len(buckets)} buckets can be seen"
