"""The `[fileflow]` settings in one frozen value."""

import configparser
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, Self, cast

from fileflow_async.errors import ConfigError, quoted

SECTION = "fileflow"

# A worker's exit may be noticed as late as the interval at which it sends heartbeats; a task that is resumed
# before fails. Measured with Airflow's 5 s: 21 of 120 resumed at once, 1 of 80 after 6 s; with 1 s none.
_HEARTBEAT = 5.0
_HEARTBEATS_BEFORE_RESUMING = 1.4

# YAML reads an unquoted on and off as booleans, so that docker compose hands over true and false.
_SWITCH = {"on": "on", "off": "off", "true": "on", "false": "off"}

_Check = Callable[[Any, str], Any]


def _setting(
    description: str,
    check: _Check,
    *,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    convert: Callable[[str], Any] = str,
    type: str = "string",
    example: str | None = None,
) -> Any:
    facts = {"description": description, "check": check, "convert": convert, "type": type, "example": example}
    return field(default=default, default_factory=default_factory, metadata=facts)


def is_number(value: object) -> bool:
    """Tell whether it counts something: a finite number, but not a boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_seconds(value: Any, name: str = "timeout") -> float:
    """Return a time span in seconds, given as a number of them or as a timedelta.

    Raises:
        ConfigError: It is none, or not longer than nothing.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not is_number(seconds) or seconds <= 0:
        raise ConfigError(f"{name} must be a positive number of seconds, got {quoted(value)}")
    return float(seconds)


def check_poke_interval(value: Any, name: str = "poke_interval") -> float:
    """Return an interval between two looks, in seconds.

    Raises:
        ConfigError: It is none, or so short that the looks would be a burden.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if is_number(seconds) and seconds < 1:
        raise ConfigError(f"{name} must be at least 1 second, got {quoted(value)}")
    return check_seconds(value, name)


def check_root(value: Any, name: str = "root") -> str:
    """Return the text of a root, which `storage.resolve.parse_root` understands.

    Raises:
        ConfigError: There is none.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None or value == "":
        raise ConfigError("[fileflow] root is not set (or AIRFLOW__FILEFLOW__ROOT)")
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a string, got {type(value).__name__}")
    return value


def _check_text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{name} must be a string, got {type(value).__name__}")
    return value or None


def _check_wait(value: Any, name: str) -> float:
    if not is_number(value) or value < 0:
        raise ConfigError(f"{name} must be a number of seconds >= 0, got {quoted(value)}")
    return float(value)


def _check_days(value: Any, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ConfigError(f"{name} must be an integer >= 0, got {quoted(value)}")
    return value


def _check_switch(value: Any, name: str) -> str:
    if str(value).lower() not in _SWITCH:
        raise ConfigError(f"{name} must be 'on' or 'off', got {quoted(value)}")
    return _SWITCH[str(value).lower()]


def _check_durability(value: Any, name: str) -> str:
    if value not in ("fsync", "none"):
        raise ConfigError(f"{name} must be 'fsync' or 'none', got {quoted(value)}")
    return str(value)


def _check_buckets(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(bucket, str) for bucket in value):
        raise ConfigError(f"{name} must be names of buckets, got {quoted(value)}")
    return tuple(value)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def airflow_home() -> Path:
    """Return Airflow's folder, which need not exist: AIRFLOW_HOME, else ~/airflow."""
    return Path(_expanded(os.environ.get("AIRFLOW_HOME") or "~/airflow")).absolute()


def default_root() -> str:
    """Return the root of those who have configured none: `{AIRFLOW_HOME}/fileflow`."""
    return (airflow_home() / "fileflow").as_uri()


def _default_wait() -> float:
    """A little more than the time at which Airflow may notice a worker's exit."""
    try:
        heartbeat = check_seconds(float(configured("workers", "min_heartbeat_interval") or _HEARTBEAT))
    except ValueError:  # a ConfigError is one too; Airflow's own setting is Airflow's to complain about
        heartbeat = _HEARTBEAT
    return heartbeat * _HEARTBEATS_BEFORE_RESUMING


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be configured in the `[fileflow]` section; `described` tells what each setting means.

    Raises:
        ConfigError: A value cannot be one of its setting.
    """

    root: str = _setting(
        "URI of the folder or the bucket's prefix under which all targets lie. Left out, it is "
        "file://{AIRFLOW_HOME}/fileflow, which is made where it is missing; any other must exist. "
        "Percent signs are written twice in airflow.cfg.",
        check_root,
        default_factory=default_root,
        example="s3://lake/ff",
    )
    conn_id: str | None = _setting(
        "Airflow connection that opens the root: of type fs for a folder, aws for S3. Left out, a folder is "
        "opened as it is, S3 with the credentials that the machine has.",
        _check_text,
        default=None,
        example="aws_default",
    )
    poke_interval: float = _setting(
        "Seconds between two looks at a store while somebody waits for its targets; at least 1.",
        check_poke_interval,
        default=5.0,
        convert=float,
        type="float",
        example="10",
    )
    min_defer_seconds: float = _setting(
        "Seconds after a deferral before which no task is resumed, because Airflow fails tasks that are "
        "resumed while their worker still exits. Left out, it is 1.4 times [workers] min_heartbeat_interval.",
        _check_wait,
        default_factory=_default_wait,
        convert=float,
        type="float",
        example="7",
    )
    feed: Literal["on", "off"] = _setting(
        "Whether every commit drops a small object into the store's .feed, so that one poll serves all "
        "waiters. Off is for stores that do not list in order (S3 Express) or with many commits, few waits.",
        _check_switch,
        default="on",
        example="off",
    )
    durability: Literal["fsync", "none"] = _setting(
        "Whether a commit on disk survives a loss of power (fsync). None is for tests and memory disks.",
        _check_durability,
        default="fsync",
        example="none",
    )
    abandoned_after: float = _setting(
        "Seconds after which an attempt without a commit counts as abandoned.",
        check_seconds,
        default=86_400.0,
        convert=float,
        type="float",
        example="3600",
    )
    retention_days: int = _setting(
        "Days for which cleaning up keeps everything; the newest two commits of a target it always keeps.",
        _check_days,
        default=7,
        convert=int,
        type="integer",
        example="30",
    )
    allowed_buckets: tuple[str, ...] = _setting(
        "S3 buckets that tasks may name in a root, beside the one of the root configured here; with commas "
        "between them. Left out, all that the connection opens.",
        _check_buckets,
        default=(),
        convert=_words,
        example="lake, archive",
    )
    target_url: str | None = _setting(
        "Address that the link Targets of a task opens; {root}, {bucket} and {prefix} in it stand for where "
        "the task's targets are. Left out, it is the page that Airflow's API server has of them.",
        _check_text,
        default=None,
        example="https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={prefix}",
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value = each.metadata["check"](getattr(self, each.name), each.name)
            object.__setattr__(self, each.name, value)

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the settings: argument before environment before airflow.cfg before default.

        airflow.cfg is asked for through Airflow where the process has loaded it, as DAG files, workers and
        triggerers have. Elsewhere the file is read, so that a script gets the same answer without the seconds
        that importing Airflow takes; only commands and secrets backends as sources need Airflow itself.

        Args:
            given: Arguments of the caller, by the names of the settings; None stands for one not given.

        Raises:
            ConfigError: A value cannot be one of its setting, or airflow.cfg is broken.
        """
        found = {name: value for name, value in given.items() if value is not None}
        for each in fields(cls):
            if each.name not in found and (text := configured(SECTION, each.name)) is not None:
                found[each.name] = _understood(text.strip(), each.name, **each.metadata)
        return cls(**found)


def configured_poke_interval() -> float:
    """Return the one setting that every sensor needs when its DAG file is parsed; see `Settings.load`.

    To ask for all of them would take longer than all else that makes a sensor.

    Raises:
        ConfigError: It cannot be one.
    """
    [each] = (each for each in fields(Settings) if each.name == "poke_interval")
    text = configured(SECTION, each.name)
    found = each.default if text is None else _understood(text.strip(), each.name, **each.metadata)
    return cast(float, found)


def _understood(
    text: str, name: str, *, convert: Callable[[str], Any], check: _Check, **_facts: object
) -> Any:
    value: Any = text
    with suppress(ValueError):  # the check says what was expected
        value = convert(text)
    return check(value, f"[{SECTION}] {name} (or {variable(SECTION, name)})")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as the documentation and Airflow's provider metadata show it.

    Attributes:
        name: Its name in the section.
        type: What it is, in the words of provider metadata.
        default: The text that stands for its default; None where that depends on the machine, or is nothing.
        description: What it does.
        example: Another value for it.
    """

    name: str
    type: str
    default: str | None
    description: str
    example: str | None

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return variable(SECTION, self.name)


def described() -> Sequence[Setting]:
    """Return what there is to configure."""
    return [
        Setting(
            name=each.name,
            type=each.metadata["type"],
            default=None if each.default in (MISSING, None, ()) else str(each.default),
            description=each.metadata["description"],
            example=each.metadata["example"],
        )
        for each in fields(Settings)
    ]


def variable(section: str, option: str) -> str:
    """Return the environment variable that sets an option of Airflow's configuration."""
    return f"AIRFLOW__{section.upper()}__{option.upper()}"


def configured(section: str, option: str) -> str | None:
    """Return what the environment says, else airflow.cfg; None where neither says anything.

    Raises:
        ConfigError: airflow.cfg is broken.
    """
    text = os.environ.get(variable(section, option))
    if text is None and (airflow := _loaded_airflow()) is not None:
        return airflow.get(section, option, fallback=None)
    if text is None:
        text = _in_file(section, option)
    return None if text is None else _expanded(text)


class _AirflowConfiguration(Protocol):
    def get(self, section: str, key: str, *, fallback: None) -> str | None: ...


def _loaded_airflow() -> _AirflowConfiguration | None:
    """Return Airflow's configuration where the process has it: asking is then a matter of microseconds."""
    for name in ("airflow.configuration", "airflow.sdk.configuration"):
        if conf := getattr(sys.modules.get(name), "conf", None):
            return conf  # type: ignore[no-any-return]
    return None


def _in_file(section: str, option: str) -> str | None:
    path = _expanded(os.environ.get("AIRFLOW_CONFIG") or str(airflow_home() / "airflow.cfg"))
    try:
        changed = os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return None
    try:
        return _parsed(path, changed).get(section, option, fallback=None)
    except (configparser.Error, UnicodeDecodeError) as error:
        # Its own message quotes the line, which may hold any of Airflow's secrets.
        raise ConfigError(f"{path} is not a valid airflow.cfg: {type(error).__name__}") from None


@lru_cache(maxsize=1)
def _parsed(path: str, changed: int) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()  # with interpolation, as Airflow reads it
    parser.read(path, encoding="utf-8")
    return parser


def _expanded(text: str) -> str:
    """Fill in variables and `~`, as Airflow does with its own."""
    return os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111
