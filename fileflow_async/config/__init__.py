"""The `[fileflow]` settings in one frozen value."""

from fileflow_async.config.settings import (
    SECTION,
    Setting,
    Settings,
    configured_poke_interval,
    default_root,
    default_timeout,
    described,
)
from fileflow_async.config.sources import airflow_home, configured, variable
from fileflow_async.config.values import check_poke_interval, check_root, check_seconds, is_number

__all__ = [
    "SECTION",
    "Setting",
    "Settings",
    "airflow_home",
    "check_poke_interval",
    "check_root",
    "check_seconds",
    "configured",
    "configured_poke_interval",
    "default_root",
    "default_timeout",
    "described",
    "is_number",
    "variable",
]
