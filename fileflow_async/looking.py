"""See what lies in a storage: targets, their versions, and sets of them."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from fileflow_async import manifest
from fileflow_async.errors import FileflowError, TargetCorruptError, TargetNotFoundError
from fileflow_async.manifest import Manifest
from fileflow_async.set_status import judge_set, members_of
from fileflow_async.status import (
    Status,
    Survey,
    absent,
    folder_in_question,
    judge,
    judge_folder,
    only,
    wanted,
)
from fileflow_async.storage.protocol import Entry, Storage
from fileflow_async.target import Reference
from fileflow_async.target_set import SetKey


class Looking:
    """Looks into the folders of targets, and writes nothing.

    Args:
        storage: An open storage; whoever opened it closes it.
        abandoned_after: From what age on, in seconds, an attempt without a commit counts as abandoned.
    """

    def __init__(self, storage: Storage, *, abandoned_after: float) -> None:
        self._storage = storage
        self._abandoned_after = abandoned_after

    async def survey(self, key: str) -> Survey:
        """Return what the folder of a target shows."""
        return Survey.of(await self._storage.list(f"{key}/", shallow=True))

    async def commit(self, key: str, survey: Survey, record: Entry) -> Status:
        """Return the status of one commit, as if there were no other.

        Raises:
            FileflowError: It cannot be seen.
        """
        seen = only(survey, record)
        status = self._judge(key, seen, await self._storage.read_each(wanted(seen)))
        if isinstance(status, FileflowError):
            raise status
        return status

    async def states(self, keys: Collection[str]) -> Mapping[str, Status | FileflowError]:
        """Look at several targets in few requests; one that cannot be seen has its error in its place.

        A key may be that of a set, whose status is that of all its targets together.
        """
        sets = {key: asked for key in keys if (asked := SetKey.parse(key)) is not None}
        if not sets:
            return await self._states(keys)
        members = await self._members(sets)
        targets = {key for key in keys if key not in sets}
        for found in members.values():
            targets.update(() if isinstance(found, FileflowError) else found)
        seen = dict(await self._states(targets))
        for key, found in members.items():
            if isinstance(found, FileflowError):
                seen[key] = found
            else:
                seen[key] = judge_set(key, sets[key], {each: seen[each] for each in found})
        return {key: seen[key] for key in keys}

    async def _states(self, keys: Collection[str]) -> Mapping[str, Status | FileflowError]:
        folders = {key: f"{key}/" for key in keys}
        listings = await self._storage.list_each(list(folders.values()))
        found = {key: listings[folder] for key, folder in folders.items()}
        surveys = {
            key: Survey.of(listing)
            for key, listing in found.items()
            if not isinstance(listing, FileflowError) and listing.entries
        }
        records = [record for survey in surveys.values() for record in wanted(survey)]
        raw = await self._storage.read_each(records) if records else {}
        seen: dict[str, Status | FileflowError] = {}
        for key, listing in found.items():
            if isinstance(listing, FileflowError):
                seen[key] = listing
            elif key in surveys:
                seen[key] = await self._sure(self._judge(key, surveys[key], raw))
            else:
                seen[key] = absent(key)
        return seen

    async def history(self, key: str) -> Sequence[Status]:
        """Return every commit of a target that is still kept, the newest first."""
        survey = await self.survey(key)
        newest_first = sorted(survey.records, key=lambda entry: entry.name, reverse=True)
        raw = await self._storage.read_each(
            [name for each in newest_first for name in wanted(only(survey, each))]
        )
        statuses = []
        for each in newest_first:
            if isinstance(raw.get(each.key), TargetNotFoundError):
                continue  # cleaned up since it was listed
            status = self._judge(key, only(survey, each), raw)
            if isinstance(status, FileflowError):
                raise status
            statuses.append(status)
        return statuses

    async def version(self, key: str, reference: Reference | None = None) -> Status:
        """Return the newest commit of a target, or just the one that a reference names.

        Raises:
            TargetNotFoundError: Nothing is committed, or the version is no longer kept.
            TargetCorruptError: The record contradicts the data, or the reference.
            FormatError: The record is of a later version of this package.
        """
        survey = await self.survey(key)
        record = survey.record
        if reference is not None:
            name = reference.data + manifest.SUFFIX
            record = next((entry for entry in survey.records if entry.name == name), None)
        if record is None:
            raise await self._absent(key, reference)
        status = await self.commit(key, survey, record)
        if status.error is not None:
            raise status.error
        if reference is not None and not _is_of(reference, status.manifest):
            raise TargetCorruptError(f"{record.name!r} is not the record that the reference names")
        return status

    async def versions(self, key: str, asked: SetKey) -> Sequence[Reference]:
        """Return the newest commits of a set, when they come from one try.

        Raises:
            TargetNotFoundError: Nothing is committed, or only a part.
            TargetCorruptError: What is there contradicts its record.
        """
        seen = dict[str, Status | FileflowError]()
        found = (await self._members({key: asked}))[key]
        if isinstance(found, FileflowError):
            raise found
        for member in found:
            with suppress(TargetNotFoundError):
                seen[member] = await self.version(member)
        status = judge_set(key, asked, seen)
        if isinstance(status, Status) and status.is_committed:
            return status.references
        why = status.why if isinstance(status, Status) else status
        raise TargetNotFoundError(f"{self._storage.uri(key)} has no committed version: {why}")

    async def _members(self, sets: Mapping[str, SetKey]) -> Mapping[str, Sequence[str] | FileflowError]:
        """Return the keys of the targets of each set; of all outputs of a task those that have a folder."""
        folders = {key: f"{asked.folder}/" for key, asked in sets.items() if not asked.names}
        listings = await self._storage.list_each(list(dict.fromkeys(folders.values())))
        return {
            key: members_of(listings[folders[key]]) if key in folders else asked.keys()
            for key, asked in sets.items()
        }

    async def _sure(self, status: Status | FileflowError) -> Status | FileflowError:
        """Look into a folder where the state hangs on what is in it."""
        if isinstance(status, FileflowError) or (folder := folder_in_question(status)) is None:
            return status
        try:
            inside = await self._storage.list(folder)
        except FileflowError as error:
            return error
        return judge_folder(status, inside, abandoned_after=self._abandoned_after)

    def _judge(
        self, key: str, survey: Survey, raw: Mapping[str, bytes | FileflowError]
    ) -> Status | FileflowError:
        try:
            return judge(key, survey, raw, abandoned_after=self._abandoned_after, root=self._storage.root)
        except FileflowError as error:
            return error

    async def _absent(self, key: str, reference: Reference | None) -> FileflowError:
        uri = self._storage.uri(key)
        if reference is not None:
            return TargetNotFoundError(
                f"{uri} no longer keeps the version {reference.data}",
                hint="It was cleaned up or deleted; run the task that made it again.",
            )
        status = (await self.states([key]))[key]
        if isinstance(status, FileflowError):
            return status
        return TargetNotFoundError(f"{uri} has no committed version: {status.why}")


def _is_of(reference: Reference, record: Manifest | None) -> bool:
    """Whether a record is the one that a reference names: rows and format may be left out of a reference."""
    return record is not None and (record.size, record.sha256) == (reference.size, reference.sha256)
