"""Which file system a path is on."""

from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
# What only this machine's kernel changes, so that it can tell of every change. Others may be shares: NFS and
# SMB, but also those that virtual machines and containers get from their host.
_OF_THIS_MACHINE = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}
)


def file_system_of(path: str, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the file system that a path without links is on; None where nobody tells."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    found: tuple[int, str | None] = (-1, None)
    for line in lines:
        before, _, behind = line.partition(" - ")
        point = before.split(" ")[4].encode().decode("unicode_escape")  # spaces are \040
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= found[0]:  # of two mounts on one point the later hides the other
            found = len(point), behind.split(" ")[0]
    return found[1]


def is_of_this_machine(path: str) -> bool:
    """Tell whether nobody but this machine's kernel can change what lies there."""
    return file_system_of(path) in _OF_THIS_MACHINE
