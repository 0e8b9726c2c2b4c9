"""What the tests of formats share."""

import sys
from collections.abc import Callable

import pytest

pytest.register_assert_rewrite("fileflow_async.testing.format_contract")


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make packages impossible to import."""

    def make(*packages: str) -> None:
        for package in packages:
            monkeypatch.setitem(sys.modules, package, None)

    return make
