"""What one try of a task reads and writes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from fileflow_async import formats
from fileflow_async.content import ContentOptions
from fileflow_async.dependency import Dependency, undeclared
from fileflow_async.draft import FileDraft
from fileflow_async.errors import ConfigError, DependencyError, TargetWriteError
from fileflow_async.formats.kinds import Kind, kind_of_value
from fileflow_async.gates import Gate, pass_through
from fileflow_async.manifest import Input, Producer
from fileflow_async.names import OUTPUT
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Slot, Target
from fileflow_async.target_set import outputs_in


class OutputOptions(TypedDict, total=False):
    """What may be said of a value that is written, beside its format; all of it is optional.

    Attributes:
        extension: The end of the data's name; by default the format's.
        content_type: Its media type; by default the format's.
        encoding: That of its text; by default UTF-8.
        compression: How to compress it: gzip or zstd.
    """

    extension: str | None
    content_type: str | None
    encoding: str | None
    compression: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a try of a task is to read, and where it is to write."""

    dag_id: str
    task_id: str
    slot: Slot
    map_index: int = -1
    dependencies: Mapping[str, Dependency] = field(default_factory=dict)
    inputs: Mapping[str, Sequence[Reference]] = field(default_factory=dict)
    producer: Producer = field(default_factory=Producer)
    interval: tuple[str, str] | None = None

    def target(self, name: str = OUTPUT) -> Target:
        """Return the place of one of its outputs."""
        return Target(
            dag_id=self.dag_id, task_id=self.task_id, slot=self.slot, map_index=self.map_index, name=name
        )


class Work:
    """The inputs and the outputs of one try, all published at its end or none; an async context manager.

    Args:
        store: Where; whoever opened it closes it.
        assignment: What.
        gates: What each output must satisfy, by its name.
    """

    def __init__(
        self, store: TargetStore, assignment: Assignment, *, gates: Mapping[str, Sequence[Gate]] | None = None
    ) -> None:
        self.store = store
        self.assignment = assignment
        self.gates = gates or {}
        self.published: dict[str, Reference] = {}
        self._drafts: dict[str, FileDraft] = {}
        self._open: set[str] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    def references(self, key: str) -> Sequence[Reference]:
        """Return the versions that a dependency stands for, or one output of a set: `sales.orders`.

        Raises:
            DependencyError: It is not declared.
        """
        if key in self.assignment.inputs:
            return self.assignment.inputs[key]
        for dependency, found in self.assignment.inputs.items():
            if key.startswith(f"{dependency}."):
                for output, several in outputs_in(found).items():
                    if key == f"{dependency}.{output}":
                        return several
        raise undeclared(key, list(self.assignment.inputs))

    def reference(self, key: str) -> Reference:
        """Return the one version that a dependency stands for.

        Raises:
            DependencyError: It is not declared, or stands for none or several.
        """
        found = self.references(key)
        if len(found) != 1:
            raise DependencyError(
                f"the dependency {key!r} stands for {len(found)} targets; read them one by one",
                hint=_how_one_by_one(key, outputs_in(found)),
            )
        return found[0]

    async def find(self, key: str, dag_id: str | None = None) -> Reference:
        """Return the version to read: the one found for this try, or the newest that another DAG has.

        Raises:
            DependencyError: It is not declared, or stands for none or several.
            TargetNotFoundError: The other DAG has committed nothing there.
        """
        if dag_id is None:
            return self.reference(key)
        if key not in self.assignment.dependencies:
            raise undeclared(key, list(self.assignment.dependencies))
        elsewhere = replace(self.assignment.dependencies[key], dag_id=dag_id)
        targets = elsewhere.targets(dag_id=dag_id, slot=self.assignment.slot)
        found = await self.store.versions(targets[0]) if len(targets) == 1 else ()
        if len(found) != 1:
            raise DependencyError(
                f"the dependency {key!r} stands for {len(found) or len(targets)} targets, "
                f"which can be read one by one only where it was declared for {dag_id!r}"
            )
        return found[0]

    async def read(self, key: str | Reference, *, dag_id: str | None = None) -> bytes:
        """Return the verified bytes of an input."""
        return await self.store.read(key if isinstance(key, Reference) else await self.find(key, dag_id))

    async def load(
        self,
        key: str | Reference,
        kind: Any = None,
        *,
        dag_id: str | None = None,
        format: str | None = None,
        encoding: str | None = None,
        **options: Any,
    ) -> Any:
        """Return an input as a value of Python.

        Args:
            key: Which dependency, or a version itself.
            kind: What it should become, such as `pandas.DataFrame`; by default what suits the format.
            dag_id: Read what another DAG's task of that name has.
            format: What the data is, whatever its record says; where that says nothing, bytes.
            encoding: That of its text, whatever its record says.
            options: Those of the format.
        """
        reference = key if isinstance(key, Reference) else await self.find(key, dag_id)
        async with self.store.open(reference) as stream:
            record = stream.record
            known = replace(
                record, format=format or record.format or "bytes", encoding=encoding or record.encoding
            )
            return await formats.read(stream, formats.Facts.of(known), kind, **options)

    async def save(
        self,
        value: Any,
        name: str = OUTPUT,
        *,
        format: str | None = None,
        format_options: Mapping[str, Any] | None = None,
        **options: Unpack[OutputOptions],
    ) -> None:
        """Write a value as an output, in a format that suits it unless one is named."""
        async with self.open_output(name, format=format or suiting(value), **options) as draft:
            await formats.write(draft, value, **(format_options or {}))

    @asynccontextmanager
    async def open_input(
        self, key: str | Reference, *, dag_id: str | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an input for reading it in pieces, in bounded memory."""
        reference = key if isinstance(key, Reference) else await self.find(key, dag_id)
        async with self.store.open(reference) as stream:
            yield stream

    @asynccontextmanager
    async def open_output(
        self, name: str = OUTPUT, **options: Unpack[ContentOptions]
    ) -> AsyncIterator[FileDraft]:
        """Open an output for writing it in pieces; it is published with all others at the end of the try.

        Raises:
            TargetWriteError: It was written before, or cannot be.
        """
        if name in self._drafts:
            raise TargetWriteError(f"the output {name!r} was written already")
        self._open.add(name)
        draft = await self._stack.enter_async_context(
            self.store.begin(
                self.assignment.target(name),
                producer=self.assignment.producer,
                interval=self.assignment.interval,
                inputs=self._lineage(),
                **options,
            )
        )
        self._drafts[name] = draft
        yield draft
        await draft.finish()
        self._open.discard(name)

    def at_end(self, clean_up: Callable[[], Awaitable[object]]) -> None:
        """Have something done when the try ends, well or not."""
        self._stack.push_async_callback(clean_up)

    def output_uri(self, name: str = OUTPUT) -> str:
        """Return the URI of an output's folder, and that of its data once it is committed."""
        reference = self.published.get(name)
        key = self.assignment.target(name).key
        return self.store.storage.uri(key if reference is None else f"{key}/{reference.data}")

    async def publish(self) -> Mapping[str, Reference]:
        """Commit all outputs: all their data is whole before the first becomes a value.

        Raises:
            TargetWriteError: One was opened and not finished; none is published.
            GateError: A gate refused one; none is published.
            TargetSupersededError: A newer attempt at one is committed; none is published.
        """
        if self._open:
            names = ", ".join(repr(name) for name in sorted(self._open))
            raise TargetWriteError(f"the output {names} was opened but not finished; nothing was published")
        for name, draft in self._drafts.items():
            await pass_through(draft, self.gates.get(name, ()))
        committed = await self.store.commit_all(list(self._drafts.values()))
        self.published = dict(zip(self._drafts, committed, strict=True))
        return self.published

    def _lineage(self) -> Sequence[Input]:
        return [
            Input(target=reference.target, data=reference.data, sha256=reference.sha256)
            for references in self.assignment.inputs.values()
            for reference in references
        ]


def _how_one_by_one(key: str, outputs: Mapping[str, object]) -> str:
    if len(outputs) > 1:
        return "Its outputs are " + ", ".join(repr(f"{key}.{name}") for name in outputs)
    return f"work.references({key!r}) are their versions"


def suiting(value: Any) -> str:
    """Return the format that suits a value: frames become parquet, which keeps their types.

    Raises:
        ConfigError: None does; it must be named.
    """
    match kind_of_value(value):
        case Kind.TEXT:
            return "text"
        case Kind.BYTES:
            return "bytes"
        case Kind.PANDAS | Kind.POLARS | Kind.ARROW:
            return "parquet"
    if value is None or isinstance(value, bool | int | float | list | dict):
        return "json"
    raise ConfigError(f"which format suits a {type(value).__name__} cannot be told; name it with format=")
