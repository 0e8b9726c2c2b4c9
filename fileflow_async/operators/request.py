"""Operators that send a request."""

from collections.abc import Mapping, Sequence
from typing import Any

from fileflow_async.operators.dive import DiveOperator


class RequestOperator(DiveOperator):
    """Has the arguments that say what is sent to whom; each operator explains them, where users read it.

    Args:
        kwargs: As for `DiveOperator`.
    """

    template_fields: Sequence[str] = ("endpoint", "http_conn_id", "request_params", "headers", "data", "json")
    ui_color = "#d8ecf3"

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        http_conn_id: str | None = "http_default",
        method: str = "GET",
        request_params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        data: str | Mapping[str, Any] | None = None,
        json: Any = None,
        max_redirects: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint = endpoint
        self.http_conn_id = http_conn_id
        self.method = method
        self.request_params = request_params
        self.headers = headers
        self.data = data
        self.json = json
        self.max_redirects = max_redirects
