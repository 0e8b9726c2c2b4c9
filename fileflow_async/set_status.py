"""Whether the newest commits of several outputs come from one try: decisions without I/O."""  # ADR 0024

from collections.abc import Mapping, Sequence
from typing import cast

from fileflow_async.errors import FileflowError
from fileflow_async.manifest import Manifest, OutputSet
from fileflow_async.names import is_name
from fileflow_async.status import State, Status, absent
from fileflow_async.storage.protocol import Listing
from fileflow_async.target import Attempt
from fileflow_async.target_set import SetKey, name_of

_NAMED = 5  # outputs in one line


def set_of(record: Manifest) -> OutputSet:
    """Return which outputs were committed together with one; no names where its record does not tell.

    Those that were committed one by one belong together when Airflow made their try for them.
    """
    alone = record.producer.ti_id or record.data.partition(".")[0]
    return record.output_set or OutputSet(id=alone, names=())


def members_of(listing: Listing | FileflowError) -> Sequence[str] | FileflowError:
    """Return the keys of the outputs that a task has a folder of."""
    if isinstance(listing, FileflowError):
        return listing
    return [entry.key.rstrip("/") for entry in listing.entries if entry.is_folder and is_name(entry.name)]


def judge_set(key: str, asked: SetKey, seen: Mapping[str, Status | FileflowError]) -> Status | FileflowError:
    """Decide what state a set is in.

    The newest commit of each output counts and no older one, even where older ones would be of one try:
    newest wins, for a set as for a target.

    Args:
        key: The set's key.
        asked: The same, taken apart.
        seen: The targets that were looked at, by their keys.
    """
    statuses = list[Status]()
    for status in seen.values():
        if isinstance(status, FileflowError):
            return status
        statuses.append(status)
    newest = max((each for each in statuses if each.manifest), key=_age, default=None)
    by_key = {status.key: status for status in statuses}
    members = [by_key.get(each) or absent(each) for each in _wanted(asked, newest) or by_key]
    for state in (State.FAILED, State.CORRUPT):
        for status in (*members, *_newer(statuses, newest)):
            if status.state is state:
                return _spoilt(key, status)
    tries = {set_of(status.manifest).id if status.manifest else None for status in members}
    if len(tries) == 1 and None not in tries:
        return _whole(key, members)
    return _partial(key, members)


def _age(status: Status) -> str:
    """Return what sorts later of a later try: a token alone may be raised where another of its try is not."""
    record = cast(Manifest, status.manifest)
    return record.data if record.output_set is None else record.output_set.id


def _wanted(asked: SetKey, newest: Status | None) -> Sequence[str]:
    """Return the keys that make the set; none where neither the waiter nor the producer has said."""
    if asked.names or newest is None or newest.manifest is None:
        return asked.keys()
    return asked.keys(set_of(newest.manifest).names)


def _newer(statuses: Sequence[Status], newest: Status | None) -> Sequence[Status]:
    """Return what tells of a try after the newest commit: an output it no longer makes must not count."""
    since = 0.0 if newest is None else newest.committed or 0.0
    return [status for status in statuses if (status.failed or status.committed or 0.0) > since]


def _spoilt(key: str, status: Status) -> Status:
    return Status(
        key=key,
        state=status.state,
        why=f"{name_of(status.key)}: {status.why}",
        error=status.error,
        failure=status.failure,
        committed=status.committed,
        failed=status.failed,
    )


def _whole(key: str, members: Sequence[Status]) -> Status:
    empty = [status for status in members if status.state is State.EMPTY]
    said = empty or members
    return Status(
        key=key,
        state=State.EMPTY if empty else State.COMPLETE,
        why=_listed([f"{name_of(status.key)} {status.why}" for status in said]),
        members=tuple(members),
        committed=min(status.committed or 0.0 for status in members),
    )


def _partial(key: str, members: Sequence[Status]) -> Status:
    if not any(status.manifest for status in members):
        return _unborn(key, members)
    records = [status.manifest for status in members if status.manifest]
    exact = len({set_of(each).id for each in records}) > len({each.producer.try_number for each in records})
    lasting = next((status for status in members if status.state is State.ABANDONED), None)
    return Status(
        key=key,
        state=State.IN_PROGRESS if lasting is None else lasting.state,
        why="partial set: " + _listed([_origin(status, exact=exact) for status in members]),
        writing=None if lasting is None else lasting.writing,
    )


def _unborn(key: str, members: Sequence[Status]) -> Status:
    """Return the status of a set of which nothing is committed yet."""
    for state in (State.ABANDONED, State.IN_PROGRESS):
        for status in members:
            if status.state is state:
                why = f"{name_of(status.key)} {status.why}"
                return Status(key=key, state=state, why=why, writing=status.writing)
    return absent(key)


def _origin(status: Status, *, exact: bool) -> str:
    """Return where an output comes from; exactly, where tries of one number have to be told apart."""
    name, record = name_of(status.key), status.manifest
    if record is None:
        return f"{name} {status.why}" if status.writing else f"{name} not there"
    attempt = Attempt.parse(record.data)
    since = f" of {attempt.token}" if exact and attempt else ""
    return f"{name} from try {record.producer.try_number}{since}"


def _listed(texts: Sequence[str]) -> str:
    more = "" if len(texts) <= _NAMED else f" and {len(texts) - _NAMED} more"
    return ", ".join(texts[:_NAMED]) + more
