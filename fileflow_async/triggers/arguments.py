"""A trigger whose arguments are the fields of a dataclass."""

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from airflow._shared.logging.types import Logger


class ArgumentsTrigger(BaseTrigger):
    """The base of keyword-only dataclasses whose fields are JSON primitives.

    The constructor only assigns: in Airflow 3.3 any exception there but a TypeError ends the whole triggerer,
    and again after each restart. What is wrong with an argument is said by `run`, where only its own task
    fails.
    """  # ADR 0004

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # sets what the triggerer fills in

    @property
    def log(self) -> "Logger":
        """The log of the task that waits: one logger for all, since one for each of 10,000 takes 9 MB."""
        return type(self).logger()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments from which the same trigger can be made again."""
        if not is_dataclass(self):
            raise TypeError(f"{type(self).__name__} is not a dataclass")
        kind = type(self)
        arguments = {field.name: getattr(self, field.name) for field in fields(self)}
        return f"{kind.__module__}.{kind.__qualname__}", arguments
