"""Where files of outsiders are looked for, told by a literal path or by a pattern."""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, unquote_to_bytes

from fileflow_async.errors import ConfigError, quoted
from fileflow_async.pattern import Kind, Part, Pattern, finished_name, is_pattern
from fileflow_async.storage.resolve import parse_root

DISK = "file://"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPED_MAGIC = re.compile(r"%(2A|3F|5B)", re.IGNORECASE)  # * ? [
PLACEHOLDER = re.compile(r"\{(name|stem)\}")
_UNQUOTED = "/=,@+:"  # as in the URIs of targets


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for below one folder or prefix.

    Attributes:
        asked: The path or pattern as it was given, for people.
        store: `file://`, or `s3://` with the bucket.
        folder: Where to begin: an absolute path without a slash at its end, or a key up to a slash.
        pattern: What is meant in there.
        folders: Whether folders are meant rather than files.
        done_file: What says that something is whole: a name beside it in which `{name}` and `{stem}` stand
            for its own; without them, one name for a whole folder.
    """

    asked: str
    store: str
    folder: str
    pattern: Pattern
    folders: bool = False
    done_file: str | None = None

    @property
    def is_on_disk(self) -> bool:
        """Whether it is this machine's files that are meant."""
        return self.store == DISK

    @property
    def key(self) -> tuple[str, str]:
        """What searches have in common that one look can answer."""
        return self.store, self.folder

    @property
    def is_shallow(self) -> bool:
        """Whether nothing is meant in folders below."""
        return len(self.pattern.parts) == 1 and not self.pattern.is_deep and not self.folders

    def uri(self, path: str) -> str:
        """Return the URI of what has that path below the folder; bytes that are no text are escaped."""
        if not self.is_on_disk:
            return f"{self.store}/{self.folder}{path}"
        return DISK + quote(os.fsencode(f"{self.folder.rstrip('/')}/{path}"), safe=_UNQUOTED)

    def done_path(self, path: str) -> str | None:
        """Return where the done file of a path is; None when there is none to wait for."""
        if self.done_file is None:
            return None
        folder, slash, name = path.rpartition("/")
        if not self.is_done_file_named:
            return f"{path}/{self.done_file}" if self.folders else f"{folder}{slash}{self.done_file}"
        return f"{folder}{slash}{self._done_name(name)}"

    @property
    def is_done_file_named(self) -> bool:
        """Whether each file has a done file of its own."""
        return PLACEHOLDER.search(self.done_file or "") is not None

    def _done_name(self, name: str) -> str:
        values = {"name": name, "stem": name.rpartition(".")[0] or name}
        return PLACEHOLDER.sub(lambda found: values[found[1]], self.done_file or "")

    @classmethod
    def of(
        cls,
        *,
        path: Any = None,
        pattern: Any = None,
        done_file: Any = None,
        allowed_buckets: Collection[str] = (),
    ) -> Self:
        """Understand what a user has asked for.

        Args:
            path: The literal path or URI of one file, or with a `/` at its end of one folder.
            pattern: The same with wildcards.
            done_file: See the class.
            allowed_buckets: Which buckets may be named; any when there are none.

        Raises:
            ConfigError: It cannot be meant.
        """
        word, text = _one_of(path, pattern)
        store, place = _located(word, text, allowed_buckets)
        folders = place.endswith("/")
        folder, rest = _cut(place.removesuffix("/"), literal=word == "path")
        parts = [Part(rest, Kind.NAME)] if word == "path" else [Part.of(part) for part in rest.split("/")]
        _check_place(word, text, place, [part.text for part in parts])
        if finished_name(parts[-1].text) is not None:
            raise ConfigError(f"{word} {quoted(text)} means temporary files only, which never count")
        _check_done_file(done_file, word, text, folders=folders)
        found = cls(text, store, folder, Pattern(tuple(parts)), folders, done_file)
        if found.is_done_file_named and found._done_name("x.y") == "x.y":
            raise ConfigError(f"done_file {quoted(done_file)} is the file itself")
        return found


def _one_of(path: Any, pattern: Any) -> tuple[str, str]:
    if path is not None and pattern is not None:
        raise ConfigError("both path and pattern given")
    if path is None and pattern is None:
        raise ConfigError("neither path nor pattern given")
    word, text = ("path", path) if pattern is None else ("pattern", pattern)
    if isinstance(text, os.PathLike):
        text = os.fspath(text)
    if not isinstance(text, str):
        raise ConfigError(f"{word} must be a string, got {type(text).__name__}")
    if not text:
        raise ConfigError(f"{word} is empty")
    return word, text


def _located(word: str, text: str, allowed_buckets: Collection[str]) -> tuple[str, str]:
    """Return the store, then the path or key as the storage knows it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        hint = "Write it as a file:/// URI with %XX for such bytes."
        raise ConfigError(f"{word} {quoted(text)} is not valid Unicode text", hint=hint) from None
    if text.startswith("/"):
        return DISK, text
    if not _SCHEME.match(text):
        hint = "Write it as /path or file:///path."
        raise ConfigError(f"{word} {quoted(text)} must be absolute", hint=hint)
    if text.startswith("file:"):
        return DISK, _path_in(word, text)
    # With all the checks of a root: its scheme, no credentials, the bucket's name, whether it is allowed.
    bucket, _, key = text.removeprefix("s3://").partition("/")
    root = parse_root(f"s3://{bucket}" if text.startswith("s3://") else text, allowed_buckets=allowed_buckets)
    if not key.strip("/"):
        raise ConfigError(f"{word} {quoted(text)} is not a valid URI; expected s3://bucket/key")
    return str(root), key


def _path_in(word: str, uri: str) -> str:
    if not uri.startswith("file:///") or _BROKEN_ESCAPE.search(uri):
        raise ConfigError(f"{word} {quoted(uri)} is not a valid URI; expected file:///path")
    path = uri.removeprefix(DISK)
    if word == "pattern":  # what is escaped is meant as it is
        path = _ESCAPED_MAGIC.sub(lambda found: f"[{chr(int(found[1], 16))}]", path)
    return os.fsdecode(unquote_to_bytes(path))


def _cut(place: str, *, literal: bool) -> tuple[str, str]:
    """Cut a place where the part that may vary begins; its last part always does."""
    magic = None if literal else next((at for at, text in enumerate(place) if is_pattern(text)), None)
    slash = place.rfind("/", 0, magic)
    if place.startswith("/"):
        return place[:slash] or "/", place[slash + 1 :]
    return place[: slash + 1], place[slash + 1 :]


def _check_place(word: str, text: str, place: str, parts: Sequence[str]) -> None:
    # In front of what varies a key of S3 may have empty parts and dots; a path with them means two things.
    before = place[1:].removesuffix("/").split("/") if place.startswith("/") else []
    if any(part in ("", ".", "..") for part in (*before, *parts)):
        raise ConfigError(f"{word} {quoted(text)} must not contain '.', '..' or empty parts")
    if "\0" in place:
        raise ConfigError(f"{word} {quoted(text)} must not contain a null character")


def _check_done_file(done_file: Any, word: str, text: str, *, folders: bool) -> None:
    if done_file is None:
        if folders:
            hint = "A folder is whole when its producer says so: done_file='_SUCCESS'."
            raise ConfigError(f"{word} {quoted(text)} means a folder, which needs a done_file", hint=hint)
        return
    if not isinstance(done_file, str):
        raise ConfigError(f"done_file must be a string, got {type(done_file).__name__}")
    if done_file in ("", ".", "..") or re.search(r"[{}/\0]", PLACEHOLDER.sub("", done_file)):
        raise ConfigError(
            f"done_file {quoted(done_file)} is not a file's name; it may have {{name}} or {{stem}} in it"
        )
