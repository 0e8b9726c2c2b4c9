"""The settings of one section, in one frozen value."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from typing import Any, Literal, Self, cast

from fileflow_async.config.sources import airflow_home, configured, remembered, variable
from fileflow_async.config.values import (
    check_buckets,
    check_days,
    check_durability,
    check_poke_interval,
    check_root,
    check_seconds,
    check_switch,
    check_text,
    check_wait,
    words,
)

SECTION = "fileflow"

# A worker's exit may be noticed as late as the interval at which it sends heartbeats; a task that is resumed
# before fails. Measured with Airflow's 5 s: 21 of 120 resumed at once, 1 of 80 after 6 s; with 1 s none.
_HEARTBEAT = 5.0
_HEARTBEATS_BEFORE_RESUMING = 1.4

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
        check_text,
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
        check_wait,
        default_factory=_default_wait,
        convert=float,
        type="float",
        example="7",
    )
    feed: Literal["on", "off"] = _setting(
        "Whether every commit drops a small object into the store's .feed, so that one poll serves all "
        "waiters. Off is for stores that do not list in order (S3 Express) or with many commits, few waits.",
        check_switch,
        default="on",
        example="off",
    )
    durability: Literal["fsync", "none"] = _setting(
        "Whether a commit on disk survives a loss of power (fsync). None is for tests and memory disks.",
        check_durability,
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
        check_days,
        default=7,
        convert=int,
        type="integer",
        example="30",
    )
    allowed_buckets: tuple[str, ...] = _setting(
        "S3 buckets that tasks may name in a root, beside the one of the root configured here; with commas "
        "between them. Left out, all that the connection opens.",
        check_buckets,
        default=(),
        convert=words,
        example="lake, archive",
    )
    target_url: str | None = _setting(
        "Address that the link Targets of a task opens; {root}, {bucket} and {prefix} in it stand for where "
        "the task's targets are. Left out, it is the page that Airflow's API server has of them.",
        check_text,
        default=None,
        example="https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={prefix}",
    )

    collect_rarely: Literal["on", "off"] = _setting(
        "Whether a triggerer with our triggers has Python's garbage collector go over all objects ten times "
        "more rarely. Each time it stops all triggers, with 10,000 waits for a third of a second. Thresholds "
        "that somebody else has set stay as they are.",
        check_switch,
        default="on",
        example="off",
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
    return _poke_interval(remembered(SECTION, "poke_interval"))


def default_timeout() -> float | None:
    """Return Airflow's `[sensors] default_timeout`, for which its own sensors ask whenever one is made.

    None where it is no number: that is Airflow's to complain about.
    """
    try:
        return float(remembered("sensors", "default_timeout") or "")
    except ValueError:
        return None


@lru_cache(maxsize=8)
def _poke_interval(text: str | None) -> float:
    [each] = (each for each in fields(Settings) if each.name == "poke_interval")
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
