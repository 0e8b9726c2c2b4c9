"""Turn what the store says into HTML; whatever it says is escaped."""

from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fileflow_async import codec
from fileflow_async.errors import TargetNameError


def _decoded(component: str) -> str:
    """Return an id as people know it; as it stands in the key where it was too long for that."""
    try:
        return codec.decode(component.strip("/"))
    except TargetNameError:
        return component.strip("/")


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"


_pages = Environment(
    loader=PackageLoader("fileflow_async.plugin"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
)
_pages.filters |= {"decoded": _decoded, "moment": _moment}
# Now: later, on the event loop, a file would have to be read.
_NAMES = ("base", "crumbs", "error", "folders", "target", "targets")
_templates = {name: _pages.get_template(f"{name}.html") for name in _NAMES}


def rendered(name: str, **values: Any) -> str:
    """Return a page."""
    return _templates[name].render(values)
