"""What files of outsiders must stand to count as arrived."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fileflow_async.config import check_poke_interval, is_number
from fileflow_async.errors import ConfigError, quoted

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.arrived import Trust
    from fileflow_async.storage.search import Search


class Rules(NamedTuple):
    """What a file must stand to count, and how many must.

    Attributes:
        looks: How many looks must show a file the same, where nobody says that it is whole.
        look_interval: How many seconds apart.
        min_age: How many seconds old it must be by the store's clock, where nobody says that it is whole.
        min_size: How many bytes it must have.
        min_count: How many files must have arrived.
        on_arriving: What a further file does that is new or changes when there are enough: `wait` for it, or
            `skip` it. A folder where files come without end needs `skip`.
    """

    looks: int = 3
    look_interval: float = 30.0
    min_age: float = 60.0
    min_size: int = 1
    min_count: int = 1
    on_arriving: Literal["wait", "skip"] = "wait"

    def check(self, search: "Search | None" = None) -> None:
        """Refuse what cannot be meant.

        Args:
            search: What the rules are for, where it is known.

        Raises:
            ConfigError: An argument is out of its range.
        """
        for name, least in (("looks", 1), ("min_size", 0), ("min_count", 1)):
            _check_integer(getattr(self, name), name, least)
        check_poke_interval(self.look_interval, "look_interval")
        if not is_number(self.min_age) or self.min_age < 0:
            raise ConfigError(f"min_age must be a number of seconds >= 0, got {quoted(self.min_age)}")
        if self.on_arriving not in ("wait", "skip"):
            raise ConfigError(f"on_arriving must be one of 'wait', 'skip', got {quoted(self.on_arriving)}")
        if search is not None:
            self._check_for(search)

    def _check_for(self, search: "Search") -> None:
        if self.min_count > 1 and search.pattern.single is not None:
            raise ConfigError(
                f"min_count is {self.min_count}, but {quoted(search.asked)} means one file only"
            )
        if self.min_size == 0 and search.done_file is None:
            hint = "An empty file may be one that was made a moment ago."
            raise ConfigError("min_size 0 needs a done_file that says when an empty file is whole", hint=hint)

    @property
    def quiet(self) -> float:
        """How many seconds a file must have been seen the same."""
        return (self.looks - 1) * self.look_interval


def _check_integer(value: Any, name: str, least: int) -> None:
    if type(value) is not int or value < least:
        raise ConfigError(f"{name} must be an integer >= {least}, got {quoted(value)}")


def trust_of(search: "Search") -> "Trust":
    """Return why what a search finds can be taken to be whole."""
    from fileflow_async.arrived import Trust

    if search.done_file is not None:
        return Trust.DONE_FILE
    # A PUT is atomic, so one object is whole. Of a set nobody knows whether it is complete.
    single = search.pattern.single is not None and not search.is_on_disk
    return Trust.ATOMIC if single else Trust.STABLE
