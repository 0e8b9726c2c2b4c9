"""Fixtures for tests on S3, which the conftest of all tests brings."""

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from fileflow_async.storage.s3 import S3Settings
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.moto_server import moto_server
from tests.s3_servers.proxy import Proxy


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """A server for all tests of this process: each has a bucket of its own."""
    with moto_server() as port:
        yield port


@pytest.fixture
async def bucket(s3_port: int) -> Backdoor:
    """A new bucket, and the way to it behind a storage's back."""
    made = Backdoor(s3_port, f"test-{uuid.uuid4().hex}")
    await made.make()
    return made


@pytest.fixture
async def proxy(s3_port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of the server, which so far breaks nothing."""
    async with Proxy.to(s3_port) as made:
        yield made


@pytest.fixture
def s3_settings() -> Callable[..., S3Settings]:
    """Make settings for a port."""

    def make(port: int, **more: Any) -> S3Settings:
        return S3Settings(
            **{
                "endpoint_url": f"http://127.0.0.1:{port}",
                "region": "us-east-1",
                "access_key_id": "AKIAPLANTED",
                "secret_access_key": "secret-planted",
                "addressing_style": "path",
            }
            | more
        )

    return make


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every line that this package logs, at every level; pytest's own file for them would block the loop."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.levelname} {record.getMessage()}")

    logger = logging.getLogger("fileflow_async")
    handler, level = Lines(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.propagate = True
        logger.setLevel(level)
        logger.removeHandler(handler)
