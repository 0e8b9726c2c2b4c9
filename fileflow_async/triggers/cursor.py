"""Which commit of each target was announced last."""

import logging
from collections.abc import Sequence

from fileflow_async._compat import AssetState
from fileflow_async.errors import StorageUnavailableError
from fileflow_async.feed import target_hash
from fileflow_async.target import Reference

_STORED = 10.0  # seconds in which Airflow has stored an event that was yielded; measured: one or two
_AGAIN = 10.0  # seconds until what could not be written is written again

log = logging.getLogger(__name__)


class Cursor:
    """The last announced commit of each target, remembered in Airflow's database where it can be.

    A commit is noted there some seconds after its event was yielded: by then the event is stored too. A
    triggerer that dies in between announces it once more; were it noted at once, it might never be announced.
    (Airflow tells a trigger nothing of what became of its event.)

    Args:
        states: Where to remember; none before Airflow 3.3.
    """

    def __init__(self, states: Sequence[AssetState]) -> None:
        self._states = states
        self._announced: dict[str, str] = {}
        self._unwritten: dict[str, tuple[float, Reference]] = {}

    @property
    def next(self) -> float | None:
        """When to `write`, in seconds since 1970; None when there is nothing to be written."""
        return min((moment for moment, _ in self._unwritten.values()), default=None)

    async def last(self, place: str) -> str | None:
        """Return the data of the last commit announced, here or by another triggerer; None when none was.

        Raises:
            StorageUnavailableError: Airflow does not tell.
        """
        known = [self._announced[place]] if place in self._announced else []
        for state in self._states:
            try:
                value = await state.aget(_key(place))
            except Exception as error:  # its errors are of many kinds; all of them pass
                raise StorageUnavailableError(f"the asset state store cannot be read: {error}") from error
            if isinstance(value, dict) and isinstance(value.get("data"), str):
                known.append(value["data"])
        return max(known, default=None)

    def announce(self, place: str, reference: Reference, now: float) -> None:
        """Note that an event was yielded."""
        self._announced[place] = reference.data
        if self._states:
            self._unwritten[place] = now + _STORED, reference

    async def write(self, now: float) -> None:
        """Remember what was announced long enough ago."""
        for place, (moment, reference) in list(self._unwritten.items()):
            if moment <= now:
                try:
                    await self._write(place, reference)
                except Exception as error:
                    log.warning("the asset state store cannot be written: %s", error)
                    self._unwritten[place] = now + _AGAIN, reference
                else:
                    del self._unwritten[place]

    async def _write(self, place: str, reference: Reference) -> None:
        value = {"target": place, "data": reference.data, "sha256": reference.sha256}
        for state in self._states:
            await state.aset(_key(place), value)


def _key(place: str) -> str:
    return f"fileflow:{target_hash(place)}"
