"""Wait for the data of other tasks, then work on it."""

import inspect
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.triggers.base import StartTriggerArgs

from fileflow_async.config import Settings
from fileflow_async.criteria import Criteria, Policy, When
from fileflow_async.dependency import Dependency
from fileflow_async.errors import ConfigError, DependencyError, FileflowError, StorageUnavailableError
from fileflow_async.operators.dive import DiveOperator, result_of
from fileflow_async.sensors.waiting import Span, WaitingSensor, arguments_of, told
from fileflow_async.triggers.start import BACKSTOP, SLOT_TEMPLATE

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.outcome import Outcome, WaitEvent
    from fileflow_async.places import Places
    from fileflow_async.status import Status
    from fileflow_async.target import Reference
    from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner
    from fileflow_async.triggers.file_target import FileTargetTrigger

_DIVE = inspect.unwrap(DiveOperator.__init__)  # without what Airflow puts around it: ADR 0030
_TOLD = arguments_of(DiveOperator, BaseSensorOperator)
_UNKNOWN = sys.maxsize  # targets, where only the run tells how many there are


class DiveSensorAsync(DiveOperator, WaitingSensor):
    """Waits without a worker slot until the data of other tasks is committed, then works on it.

    Its result are the references of what it found, by the names of the dependencies; with a `python_object`,
    that of what this commits, as of a `DivePythonOperator`.

    Args:
        python_object: A `TaskRunner` or `AsyncTaskRunner` class whose logic runs once the data is there.
        python_method: The method that is the logic, sync or async.
        op_args: Positional arguments of the method; templated.
        op_kwargs: Arguments of the method by name; templated.
        when: Ready when `"all"` targets are, when `"any"` is, or when so many are.
        on_empty: What a target does that is complete but empty: `"accept"`, `"fail"`, `"skip"` or `"wait"`.
        on_corrupt: What a damaged target does: `"fail"`, `"skip"` or `"wait"`.
        on_abandoned: What a target does whose producer has been silent for a day: `"wait"`, `"fail"` or
            `"skip"`.
        start_from_trigger: Begin in the triggerer, without the worker that looks first. It saves a worker's
            start where the data is hardly ever there already, and it costs: no `on_execute_callback`, no
            queue of the task's own, no mapped task, no templates in dependencies, no `map_index="all"` and no
            `newer_than`.
        deferrable: Wait in the triggerer. Otherwise in a worker, holding its slot, or by `mode="reschedule"`.
        poke_interval: How often to look at least, in seconds or as a timedelta; by default `[fileflow]
            poke_interval`.
        timeout: How long to wait in all, in seconds or as a timedelta, however often the wait is deferred; by
            default Airflow's `[sensors] default_timeout`.
        kwargs: As for `DiveOperator` and any sensor. `soft_fail` skips when the time is over, and only then;
            `never_fail` skips whatever happens. `execution_timeout` ends the wait in every mode; then the
            task is retried.
    """

    template_fields: Sequence[str] = ("op_args", "op_kwargs", "slot")
    ui_color = "#d8ecf3"
    python_object: "type[TaskRunner] | type[AsyncTaskRunner] | None"
    python_method: str
    op_args: Sequence[Any]
    op_kwargs: Mapping[str, Any]
    criteria: Criteria
    slot = SLOT_TEMPLATE  # filled in where the task starts: nothing else tells the triggerer

    def __init__(
        self,
        *,
        python_object: "type[TaskRunner] | type[AsyncTaskRunner] | None" = None,
        python_method: str = "run",
        op_args: Sequence[Any] = (),
        op_kwargs: Mapping[str, Any] | None = None,
        when: When = "all",
        on_empty: Policy = "accept",
        on_corrupt: Policy = "fail",
        on_abandoned: Policy = "wait",
        start_from_trigger: bool = False,
        deferrable: bool = True,
        poke_interval: Span = None,
        timeout: Span = None,
        **kwargs: Any,
    ) -> None:
        make = super().__init__
        if getattr(make, "__func__", None) is DiveOperator.__init__:
            make = partial(_DIVE, self)
        make(**told(poke_interval, timeout, kwargs, _TOLD))
        vars(self).update(  # past Airflow's __setattr__: ADR 0030
            deferrable=deferrable,
            python_object=python_object,
            python_method=python_method,
            op_args=op_args,
            op_kwargs=op_kwargs or {},
            criteria=Criteria(when=when, on_empty=on_empty, on_corrupt=on_corrupt, on_abandoned=on_abandoned),
        )
        self._check()
        if start_from_trigger:
            self.start_from_trigger = True
            self.start_trigger_args = self._start()

    def execute(self, context: Context) -> Any:
        """Look, and go on when all is there; otherwise wait."""
        if (handed_on := self.handed_on_before(context)) is not None:
            return handed_on
        return super().execute(context)

    def look(self, context: Context) -> "WaitEvent | None":
        """Look at every target once.

        Raises:
            ConfigError: The task is mapped and to start from the trigger, which Airflow does not do.
        """
        if self.start_from_trigger and context["ti"].map_index not in (None, -1):
            raise ConfigError(f"the task {self.task_id!r} is mapped; it cannot start from the trigger")
        from fileflow_async.waiting import Wait

        places = self.places(context)
        statuses = self.engine.run(self._statuses(places.keys))
        self.is_in_doubt = any(_is_doubtful(status) for status in statuses.values())
        if self.is_in_doubt:
            return None
        return Wait(targets=places.keys, criteria=self._criteria(context, places)).decide(statuses, now=0.0)

    def trigger(self, context: Context, *, deadline: float, not_before: float | None) -> "FileTargetTrigger":
        """Return the trigger that waits."""
        from fileflow_async.triggers.file_target import FileTargetTrigger

        places, settings = self.places(context), self._settings()
        criteria = self._criteria(context, places)
        return FileTargetTrigger(
            root=settings.root,
            conn_id=settings.conn_id,
            targets=list(places.keys),
            when=criteria.when,
            newer_than=criteria.newer_than,
            on_empty=criteria.on_empty,
            on_corrupt=criteria.on_corrupt,
            on_abandoned=criteria.on_abandoned,
            poke_interval=self.poke_interval,
            backoff=self.exponential_backoff,
            max_wait=None if self.max_wait is None else self.max_wait.total_seconds(),
            deadline=deadline,
            not_before=not_before,
        )

    def is_all_known(self, context: Context, event: "WaitEvent") -> bool:
        """Tell whether the wait was for all: how many mapped targets there are shows once the first is there.

        Raises:
            DependencyError: It cannot be told although the first is there.
        """
        places = self.places(context)
        for name, dependency in places.unknown.items():
            raise DependencyError(
                f"how many instances {dependency.task_id!r} has, for the dependency {name!r}, cannot be told",
                hint="Its run is no longer known to Airflow; name the instances with map_index=range(...).",
            )
        return len(places.keys) == len(places.satisfied(event.ready)) + event.missing_count

    def arrived(self, context: Context, event: "WaitEvent") -> Any:
        """Run the task's logic on what was found; without one return the references."""
        from fileflow_async.logic import Logic

        self.log.info("%s", event.describe())
        inputs = self.places(context).sort(event.ready)
        if self.python_object is None:
            return {
                name: _payload(references, by_output=self.data_dependencies[name].is_set)
                for name, references in inputs.items()
            }
        logic = Logic(self.python_object, self.python_method, self.op_args, self.op_kwargs)
        with self.dive(context, runner=self.python_object(context), inputs=inputs) as runner:
            logic.call(runner, self.engine)
        return result_of(runner.work.published)

    def missed(self, context: Context, event: "WaitEvent") -> None:
        """Tell the task's logic what was missing when the time was over."""
        if self.python_object is not None:
            from fileflow_async.logic import tell

            tell(self.python_object(context), self.engine, "on_timeout", event.missing)

    def policy_of(self, outcome: "Outcome") -> str:
        """Return what an outcome does: `fail` or `skip`."""
        return getattr(self.criteria, f"on_{outcome}", "fail")

    def _check(self) -> None:
        """Refuse what can be seen to be wrong when the DAG is parsed."""
        if not self.data_dependencies:
            raise ConfigError(f"the sensor {self.task_id!r} has no data_dependencies to wait for")
        if self.python_object is not None:
            from fileflow_async.logic import Logic

            Logic(self.python_object, self.python_method).check()
        counts = [dependency.count for dependency in self.data_dependencies.values()]
        self.criteria.check(_UNKNOWN if None in counts else sum(filter(None, counts)))

    def _start(self) -> StartTriggerArgs:
        """Return what Airflow makes the first trigger from."""
        from fileflow_async.triggers.file_target_start import FileTargetStartTrigger, to_payload

        settings, limit = self._settings(), self.execution_timeout
        ends = self.timeout + BACKSTOP  # and by Airflow itself, if that is sooner:
        ends = ends if limit is None else min(ends, limit.total_seconds())
        return StartTriggerArgs(
            trigger_cls=f"{FileTargetStartTrigger.__module__}.{FileTargetStartTrigger.__qualname__}",
            trigger_kwargs={
                "slot": self.slot,
                "dag_id": self.dag_id,
                "dependencies": [to_payload(each) for each in self.data_dependencies.values()],
                "fileflow_root": settings.root,
                "fileflow_conn_id": settings.conn_id,
                "when": self.criteria.when,
                "poke_interval": self.poke_interval,
                "on_empty": self.criteria.on_empty,
                "on_corrupt": self.criteria.on_corrupt,
                "on_abandoned": self.criteria.on_abandoned,
                "backoff": self.exponential_backoff,
                "max_wait": None if self.max_wait is None else self.max_wait.total_seconds(),
                "backstop": ends - self.patience,
            },
            next_method="execute_complete",
            timeout=timedelta(seconds=self.timeout + BACKSTOP),
        )

    def _settings(self) -> Settings:
        settings = Settings.load(root=self.fileflow_root)
        if self.fileflow_root is None and self.fileflow_conn_id is None:
            return settings
        return replace(settings, conn_id=self.fileflow_conn_id)  # the configured one belongs to its own root

    async def _statuses(self, keys: Collection[str]) -> "Mapping[str, Status]":
        from fileflow_async.status import unreadable

        try:
            # The wait asks again, and holds no slot in an outage.
            async with self.open_store(impatient=True) as store:
                answers = await store.states(keys)
        except FileflowError as error:  # it cannot be opened: what that means is for the wait to find out
            answers = dict.fromkeys(keys, error)
        return {
            key: unreadable(key, answer) if isinstance(answer, FileflowError) else answer
            for key, answer in answers.items()
        }

    def _criteria(self, context: Context, places: "Places") -> Criteria:
        """Return what ends the wait in this run, with the moments from which on commits count."""
        limits = {
            key: moment.timestamp()
            for name, dependency in self.data_dependencies.items()
            if (moment := _since(dependency, context)) is not None
            for key in (target.key for target in places.by_name[name])
        }
        criteria = self.criteria._replace(newer_than=limits or None)
        criteria.check(len(places.keys))
        return criteria


def _since(dependency: Dependency, context: Context) -> datetime | None:
    if dependency.newer_than == "run":
        return context["dag_run"].start_date
    return dependency.newer_than


def _is_doubtful(status: "Status") -> bool:
    """Whether several looks are needed: damage may be a clean-up seen half way, a refusal may pass."""
    from fileflow_async.status import State

    refused = status.state is State.UNREADABLE and not isinstance(status.error, StorageUnavailableError)
    return refused or status.state is State.CORRUPT


def _payload(references: "Sequence[Reference]", *, by_output: bool) -> Any:
    """Return the references of a dependency for XCom: one as it is, several as a list, a set by its names."""
    from fileflow_async.target_set import outputs_in

    if by_output:
        together = outputs_in(references)
        return {name: _payload(several, by_output=False) for name, several in together.items()}
    payloads = [reference.to_payload() for reference in references]
    return payloads[0] if len(payloads) == 1 else payloads
