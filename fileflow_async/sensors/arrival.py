"""Wait for files of outsiders."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import Context

from fileflow_async.arrival_rules import Rules
from fileflow_async.errors import FileflowError, TargetSupersededError
from fileflow_async.sensors.waiting import Span, WaitingSensor, told
from fileflow_async.storage.search import Search
from fileflow_async.templates import has_template

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.arrived import Arrived
    from fileflow_async.outcome import Outcome
    from fileflow_async.storage.outside import Answer

_MARGIN = 15.0  # seconds beyond those that the looks at one file take

# What the base class knows is a wait for targets. It asks of an ending only what every ending has.
_Ending = Any


class ArrivalSensorAsync(WaitingSensor):
    """Waits without a worker slot until outsiders have put their files somewhere.

    Its result is the list of what has arrived: each with its `uri`, its `size`, when it was `modified`, the
    `trust` that it deserves, and its `etag` (S3, folders) or `mtime_ns` and `inode` (disk).

    A file has arrived when its producer says so by a done file (`trust` is `done_file`); when it is a single
    object of S3, which appears as a whole (`atomic`); otherwise when so many looks showed it the same, it is
    so old, and nobody on this host has it open for writing (`stable`). The last is a guess, and the log says
    so: what reads the files should copy them first. Temporary and hidden names, links and what is no file
    never count; an empty file counts only with a done file and `min_size=0`.

    With `mode="reschedule"` the slot is given back while there is nothing to look at; the looks that a guess
    takes are done in one go, and hold it.

    Args:
        path: The literal path or URI of one file, or with a `/` at its end of one folder: `/in/a.csv`,
            `file:///in/a.csv`, `s3://bucket/in/a.csv`. Templated.
        pattern: The same with wildcards: `*`, `?`, `[abc]`, and `**` for any number of folders. Templated.
        conn_id: The Airflow connection that opens the place: of type `fs` for a folder, `aws` for S3.
            Templated.
        looks: How many looks must show a file the same, where it has to be guessed.
        look_interval: How many seconds apart.
        min_age: How many seconds old it must be, where it has to be guessed.
        min_size: How many bytes a file must have; those of all its files together for a folder.
        min_count: How many files must have arrived.
        done_file: The name of the done file beside each, such as `{name}.done` or `{stem}.ok`; or one for a
            whole folder, such as `_SUCCESS`. Templated.
        on_arriving: What further files do that are new or change when there are enough: `wait` for them, or
            `skip` them. A folder where files come without end needs `skip`.
        deferrable: Wait in the triggerer. Otherwise in a worker, holding its slot, or by `mode="reschedule"`.
        poke_interval: How often to look at least, in seconds or as a timedelta; by default `[fileflow]
            poke_interval`.
        timeout: How long to wait in all, in seconds or as a timedelta, however often the wait is deferred; by
            default Airflow's `[sensors] default_timeout`.
        kwargs: As for any sensor. `soft_fail` skips when the time is over, and only then; `never_fail` skips
            whatever happens. `execution_timeout` ends the wait in every mode; then the task is retried.
    """

    template_fields: Sequence[str] = ("path", "pattern", "conn_id", "done_file")
    ui_color = "#e2f0d9"

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        pattern: str | os.PathLike[str] | None = None,
        conn_id: str | None = None,
        looks: int = 3,
        look_interval: float = 30.0,
        min_age: float = 60.0,
        min_size: int = 1,
        min_count: int = 1,
        done_file: str | None = None,
        on_arriving: Literal["wait", "skip"] = "wait",
        deferrable: bool = True,
        poke_interval: Span = None,
        timeout: Span = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**told(poke_interval, timeout, kwargs))
        self.deferrable = deferrable
        self.path = path
        self.pattern = pattern
        self.conn_id = conn_id
        self.looks = looks
        self.look_interval = look_interval
        self.min_age = min_age
        self.min_size = min_size
        self.min_count = min_count
        self.done_file = done_file
        self.on_arriving = on_arriving
        self._announced: Arrived | None = None
        self._check()

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on with what the trigger found, once a look of our own has shown it unchanged.

        Args:
            context: Airflow's.
            event: The trigger's event; anything else is an error.
        """
        from fileflow_async.arrived import Arrived
        from fileflow_async.sensors.ended import check_ready

        with self._verdict(), self.running():
            ended: _Ending = Arrived.from_payload(event)
            self.log.info("The wait ended: %s. %s", ended.outcome, ended.describe())
            if ended.guess is not None:
                self.log.info("%s", ended.guess)
            check_ready(self, context, ended)
            self._announced = ended
            return self._proceed(context)

    def look(self, context: Context) -> _Ending:
        """Look once; where something was announced, at whether it is still so."""
        from fileflow_async.arrival import Arrival
        from fileflow_async.outcome import Outcome

        arrival = Arrival(self._search(), self._rules())
        answer = self.engine.run(_answer(arrival.search, self.conn_id))
        event = arrival.decide(answer, time.monotonic())
        self.is_in_doubt = arrival.is_in_doubt
        announced, self._announced = self._announced or event, None
        if announced is None or announced.outcome is not Outcome.READY or isinstance(answer, FileflowError):
            self.log.info("%s", arrival.describe())
            return event
        try:
            files = arrival.confirm(announced, answer)
        except TargetSupersededError as error:
            self.log.warning("%s; waiting for what is there now", error)
            return event
        return replace(announced, ready=files, ready_count=len(files))

    def is_all_known(self, context: Context, event: _Ending) -> bool:
        """Tell whether all files are in the event; if not, `look` fills it."""
        self._announced = None if event.is_whole else event
        return self._announced is None

    def trigger(self, context: Context, *, deadline: float, not_before: float | None) -> Any:
        """Return the trigger that waits."""
        from fileflow_async.triggers.arrival import ArrivalTrigger

        return ArrivalTrigger(
            path=_text(self.path),
            pattern=_text(self.pattern),
            conn_id=self.conn_id,
            looks=self.looks,
            look_interval=float(self.look_interval),
            min_age=float(self.min_age),
            min_size=self.min_size,
            min_count=self.min_count,
            done_file=self.done_file,
            on_arriving=self.on_arriving,
            poke_interval=self.poke_interval,
            backoff=self.exponential_backoff,
            max_wait=None if self.max_wait is None else self.max_wait.total_seconds(),
            deadline=deadline,
            not_before=not_before,
        )

    def arrived(self, context: Context, event: _Ending) -> list[dict[str, Any]]:
        """Return the files."""
        self.log.info("%s", event.describe())
        return [file.to_payload() for file in event.ready]

    def policy_of(self, outcome: "Outcome") -> str:
        """Return what an outcome does: `fail` or `skip`."""
        return "fail"

    def _hold(self, context: Context, deadline: float) -> _Ending:
        """Wait in this worker; where the slot is to be given back, as long as the looks at one file take."""
        if self.reschedule and self.is_in_doubt:
            rules = self._rules()
            enough = time.time() + max(rules.quiet, rules.min_age) + self.poke_interval + _MARGIN
            deadline = max(deadline, min(enough, self._began(context) + self.patience))
        return super()._hold(context, deadline)

    def _check(self) -> None:
        """Refuse what can be seen to be wrong when the DAG is parsed; templates cannot."""
        self._rules().check(None if has_template(self._words()) else self._search())

    def _search(self) -> Search:
        return Search.of(**self._words())

    def _words(self) -> Mapping[str, Any]:
        return {"path": self.path, "pattern": self.pattern, "done_file": self.done_file}

    def _rules(self) -> Rules:
        return Rules(
            looks=self.looks,
            look_interval=self.look_interval,
            min_age=self.min_age,
            min_size=self.min_size,
            min_count=self.min_count,
            on_arriving=self.on_arriving,
        )


async def _answer(search: Search, conn_id: str | None) -> "Answer":
    """Look once; what is wrong is for the wait to judge."""
    from fileflow_async.hooks.outside import open_outside

    try:
        async with open_outside(search, conn_id) as outside:
            return await outside.look([search], lambda answers: answers[search])
    except FileflowError as error:
        return error


def _text(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)
