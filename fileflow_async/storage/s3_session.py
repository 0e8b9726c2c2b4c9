"""Make botocore clients without stalling the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fileflow_async.aside import aside
from fileflow_async.storage import s3_page, s3_reply
from fileflow_async.storage.s3_settings import S3Settings

_loading = threading.Lock()
_loader: Any = None


@asynccontextmanager
async def client(settings: S3Settings) -> AsyncIterator[Any]:
    """Open a new S3 client.

    Importing aiobotocore takes 1.1 s, parsing its models 60 to 130 ms, and reading the AWS files blocks as
    well: so all but the last 4 ms happen in a thread.
    """
    session = await aside(_session, settings)
    async with session.create_client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        verify=settings.verify,
        config=_config(settings),
    ) as made:
        events = made.meta.events
        # Wildcards go first: before "before-parse.s3.*", where botocore parses all XML to look for errors.
        events.register("before-parse.*.*", s3_reply.refuse_strangers)
        events.register("before-parse.*.ListObjectsV2", s3_page.take_over)
        events.register("before-call.s3", _prepare)
        yield made


def _session(settings: S3Settings) -> Any:
    from aiobotocore.session import AioSession

    session = AioSession()
    session.register_component("data_loader", _models(session))
    session.get_scoped_config()
    # In a loop of its own: the default chain reads files, and may ask the machine's metadata service.
    asyncio.run(_take_credentials(session, settings))
    return session


def _models(session: Any) -> Any:
    """Return the loader of botocore's models, which all sessions share, as they never share credentials."""
    global _loader
    with _loading:
        if _loader is None:
            loader = session.get_component("data_loader")
            for service in ("s3", "sts"):
                session.warm_up_loader_caches(service)
            _loader = loader
        return _loader


async def _take_credentials(session: Any, settings: S3Settings) -> None:
    if settings.access_key_id:
        session.set_credentials(settings.access_key_id, settings.secret_access_key, settings.session_token)
    source = await session.get_credentials()
    if source is None:
        from botocore.exceptions import NoCredentialsError

        raise NoCredentialsError  # or the client would look for them once more, on our own loop
    if not settings.role_arn:
        return
    from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials

    more = {"RoleSessionName": settings.role_session_name, "ExternalId": settings.external_id}
    fetcher = AioAssumeRoleCredentialFetcher(
        partial(session.create_client, region_name=settings.region or "us-east-1", config=_config(settings)),
        source,
        settings.role_arn,
        extra_args={name: value for name, value in more.items() if value},
    )
    session._credentials = AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _config(settings: S3Settings) -> Any:
    from aiobotocore.config import AioConfig
    from botocore import __version__ as version

    plain = (settings.endpoint_url or "").startswith("http:") and settings.checksums == "when_required"
    return AioConfig(
        retries={"total_max_attempts": 1},  # ours have a deadline, and know what a lost reply means
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_pool_connections=settings.max_connections,
        # We give a CRC32 with the data: botocore's own is computed on the loop, and wraps the body in chunks.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Given whole: botocore would put its own together anew, twice a request, for a sixth of all its time.
        user_agent=f"Botocore/{version} fileflow-async",
        s3={
            "addressing_style": settings.addressing_style,
            # TLS or a CRC32 guards the body on its way. A SHA-256 would be computed on the event loop, and is
            # no help against an attacker on plain HTTP, where answers are not signed at all.
            "payload_signing_enabled": plain,
        },
    )


def _prepare(context: dict[str, Any], **_: Any) -> None:
    """Keep botocore from helping.

    It would follow a bucket into another region, which people should correct in the connection, and compute
    the checksum of what arrives on the event loop.
    """
    context.get("checksum", {}).pop("response_algorithms", None)
    context.setdefault("s3_redirect", {})["redirected"] = True
