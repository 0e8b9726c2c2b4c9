"""What this machine means for a root on its disks."""

import os
from collections.abc import Sequence
from pathlib import Path

from fileflow_async.cli.findings import Finding, Verdict
from fileflow_async.storage.inotify import Inotify
from fileflow_async.storage.mounts import file_system_of
from fileflow_async.storage.resolve import LocalRoot, parse_root

_INOTIFY = Path("/proc/sys/fs/inotify")
# One watch a minute folder of the feed and a few for the rest; other programs of the user share the limits.
_LEAST = {"max_user_instances": 128, "max_user_watches": 8192}
_NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "afs", "fuse.")
_LITTLE = 0.05  # of the disk


def findings(root: str) -> Sequence[Finding]:
    """Look at the disk on which a root lies; nothing for one in S3."""
    where = parse_root(root)
    if not isinstance(where, LocalRoot):
        return ()
    return _disk(where.directory), _space(where.directory), _inotify()


def _disk(directory: str) -> Finding:
    kind = file_system_of(os.path.realpath(directory))
    if kind is None:
        return Finding("disk", Verdict.UNKNOWN, "the system does not tell on which file system the root is")
    if kind.startswith(_NETWORK):
        return Finding(
            "disk",
            Verdict.ADVICE,
            f"the root is on a network file system ({kind})",
            "All machines that wait there need their clocks by NTP; commits of others are found by polling.",
        )
    return Finding(
        "disk",
        Verdict.OK,
        f"the root is on {kind}, a file system of this machine",
        "Workers and triggerers on other machines need a share, or a root in S3.",
    )


def _space(directory: str) -> Finding:
    disk = os.statvfs(directory)
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    what = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB are free"
    if total and free / total < _LITTLE:
        return Finding("space", Verdict.ADVICE, what, "`fileflow gc` shows what may go.")
    return Finding("space", Verdict.OK, what)


def _inotify() -> Finding:
    try:
        Inotify().close()
    except OSError as error:
        what = f"waits find commits by polling only: {error.strerror}"
        return Finding("inotify", Verdict.ADVICE, what, "On Linux max_user_instances may be used up.")
    for name, least in _LEAST.items():
        try:
            limit = int((_INOTIFY / name).read_text())
        except (OSError, ValueError):
            return Finding("inotify", Verdict.UNKNOWN, "the system does not tell its limits")
        if limit < least:
            return Finding(
                "inotify",
                Verdict.ADVICE,
                f"{name} is {limit}; where it is used up, commits are found by polling",
                f"sysctl fs.inotify.{name}={least}",
            )
    return Finding("inotify", Verdict.OK, "commits on this machine are noticed at once")
