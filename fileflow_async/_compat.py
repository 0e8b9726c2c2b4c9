"""What differs between the versions of Airflow that are supported."""  # ADR 0003

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

try:
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralTimeout,
    )
except ImportError:  # before 3.2
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralTimeout,
    )

_stats: Any
try:
    from airflow.sdk.observability import stats as _stats

    if not hasattr(_stats, "incr"):  # in 3.2, a class does what the module does later
        _stats = _stats.Stats
except ImportError:  # before 3.2
    _stats = None

__all__ = [
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "AssetState",
    "TaskDeferralTimeout",
    "asset_states",
    "count",
    "determine_kwargs",
    "timing",
]


def determine_kwargs(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return those keyword arguments that a function takes, as `@task` does."""
    # Not before it is needed: it brings a tenth of what importing a sensor costs each DAG file.
    try:
        from airflow.sdk.bases.decorator import determine_kwargs as determine
    except ImportError:  # before 3.2
        from airflow.utils.operator_helpers import (  # type: ignore[attr-defined]
            determine_kwargs as determine,
        )
    return determine(function, args, kwargs)


def count(metric: str, number: int = 1, *, tags: Mapping[str, str] | None = None) -> None:
    """Add to a counter of Airflow's metrics, where it has them for code outside its core."""
    if _stats is not None:
        _stats.incr(metric, number, tags=dict(tags) if tags else None)


def timing(metric: str, seconds: float, *, tags: Mapping[str, str] | None = None) -> None:
    """Note a duration in Airflow's metrics."""
    if _stats is not None:
        _stats.timing(metric, timedelta(seconds=seconds), tags=dict(tags) if tags else None)


class AssetState(Protocol):
    """What is kept in Airflow's database for one asset."""

    async def aget(self, key: str, default: Any = None) -> Any: ...

    async def aset(self, key: str, value: Any) -> None: ...


def asset_states(trigger: object) -> Sequence[AssetState]:
    """Return what is kept for each asset that an event trigger watches; nothing before 3.3."""
    states = getattr(trigger, "asset_state_store", None)
    if states is None:
        return ()
    # With several assets it wants to be asked for each, but does not say which there are.
    return tuple(getattr(states, "_by_name", {}).values()) or (states,)
