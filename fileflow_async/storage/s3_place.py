"""Where the keys of a storage lie in its bucket."""

import re
from dataclasses import dataclass

from fileflow_async.errors import ConfigError, TargetNameError, quoted
from fileflow_async.storage.protocol import check_key

LONGEST_KEY = 1024  # bytes of UTF-8: S3's own limit
PROBE = ".probe"  # stays there, and is never listed: writers need not be allowed to delete
_BUCKET = re.compile(r"(?!xn--)(?!\d+\.\d+\.\d+\.\d+\Z)[a-z0-9](?:[a-z0-9]|[.-](?![.]))+[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Place:
    """A prefix in a bucket.

    Args:
        bucket: Its name.
        prefix: Keys joined by `/`, without one at either end; empty for the whole bucket.
    """

    bucket: str
    prefix: str = ""

    def __post_init__(self) -> None:
        if not 3 <= len(self.bucket) <= 63 or not _BUCKET.fullmatch(self.bucket):
            raise ConfigError(f"{quoted(self.bucket)} is not a valid S3 bucket name")
        if self.prefix:
            try:
                check_key(self.prefix)
            except TargetNameError:
                raise ConfigError(
                    f"{quoted(self.prefix)} is not a prefix: parts joined by single '/'"
                ) from None

    @property
    def root(self) -> str:
        """The URI under which the keys lie."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def base(self) -> str:
        """What all the keys begin with in the bucket."""
        return f"{self.prefix}/" if self.prefix else ""

    def uri(self, key: str) -> str:
        """Return where a key lies, for people."""
        return f"{self.root}/{key}"

    def key(self, key: str) -> str:
        """Return what a key is called in the bucket.

        Raises:
            TargetNameError: It cannot be one.
        """
        full = f"{self.base}{check_key(key)}"
        if (size := len(full.encode())) > LONGEST_KEY:
            hint = f"Shorten the prefix '{self.prefix}/…'" if self.prefix else "Shorten its parts"
            raise TargetNameError(f"S3 key would be {size} bytes; the limit is {LONGEST_KEY}. {hint}")
        return full
