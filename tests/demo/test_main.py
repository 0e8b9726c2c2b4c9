"""What the demo tells of a task that did not end well."""

from typing import Any

import httpx
import pytest

from demo.__main__ import log_end
from demo.airflow_api import AirflowApi, TaskInstance

CONVERT = TaskInstance("shop_abroad", "manual__1", "convert", -1, "failed", 1, None, None)
PREFACE = [{"event": "::group::Log message source details"}, {"event": "a path"}, {"event": "::endgroup::"}]
LINES: list[dict[str, Any]] = [
    {"timestamp": "2026-11-21T17:37:23Z", "level": "info", "event": "2 of 2 targets ready"},
    {
        "timestamp": "2026-11-21T17:37:24Z",
        "level": "error",
        "event": "Task failed with exception",
        "error_detail": [
            {
                "exc_type": "KeyError",
                "exc_value": "'total'",
                "frames": [{"filename": "rates.py", "lineno": 32, "name": "run"}],
            }
        ],
    },
]
TOLD = [
    "2026-11-21T17:37:23Z info 2 of 2 targets ready",
    "2026-11-21T17:37:24Z error Task failed with exception\n  KeyError: 'total'\n    rates.py:32 run",
]


def answering(status: int, content: Any) -> AirflowApi:
    """Return an API whose server says the same whatever it is asked."""
    api = AirflowApi("http://127.0.0.1:1")
    api.__exit__()
    answer = httpx.Response(status, json={"access_token": "", "content": content})
    asked: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"access_token": ""}) if len(asked) == 1 else answer

    api._client = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(serve))
    return api


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PREFACE + LINES, TOLD),
        (LINES, TOLD),
        ([], []),
        (["plain text"], ["plain text"]),
        (LINES * 100, TOLD[1:] + TOLD * 12),
    ],
    ids=["with a preface", "without", "empty", "text", "long"],
)
def test_the_end_of_a_log_has_the_traceback(content: Any, told: list[str]) -> None:
    """Where Airflow looked for the log is left out."""
    with answering(200, content) as api:
        assert log_end(api, CONVERT) == told


def test_a_task_that_never_ran_has_no_log() -> None:
    """Which is said instead of an error that hides what else went wrong."""
    with answering(404, []) as api:
        assert log_end(api, CONVERT) == ["there is none: 404"]
