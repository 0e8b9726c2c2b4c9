"""What the tests of crashes share."""

from collections.abc import Iterator

import pytest

from tests.crash.tally import Tallies, Tally
from tests.crash.zygote import Zygote, zygote as run_zygote


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tallies(), "fileflow-tallies")


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """The process that those to be killed are forked from."""
    with run_zygote() as process:
        yield process


@pytest.fixture
def tally(request: pytest.FixtureRequest, record_property: object) -> Iterator[Tally]:
    """Count what this test tries; its module says what that is."""
    made = Tally(request.module.WHAT)
    yield made
    request.node.user_properties.append(("tally", {made.what: dict(made.counts)}))
