"""PostgreSQL and Redis on the loopback, in folders that go with them."""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from demo.airflow import free_port
from demo.processes import Processes

PACKAGES = ("postgresql", "redis-server", "radosgw", "ceph-mon", "ceph-osd")  # of Debian
START_LIMIT = 30.0  # seconds; measured: 1
_DEBIAN = Path("/usr/lib/postgresql")  # where programs are that Debian does not put on the path


class Server:
    """A server that its clients have to name a password to.

    Args:
        folder: What it has on disk; whoever runs it must be able to reach that.
        processes: Who runs it.
        password: What its clients have to say.
    """

    def __init__(self, folder: Path, processes: Processes, *, password: str) -> None:
        self._folder = folder
        self._processes = processes
        self._password = password
        self._port = free_port()


class Postgres(Server):
    """A PostgreSQL, which refuses to be run by root: then it is run by `nobody`."""

    @property
    def address(self) -> str:
        """The URL without its scheme."""
        return f"airflow:{self._password}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Make a database and serve it."""
        self._make()
        self.serve()

    def serve(self) -> None:
        """Serve the database, for the first time or again."""
        # What it forgets in a power cut nobody needs afterwards.
        settings = {"port": self._port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        settings |= {"max_connections": 200, "fsync": "off"}
        given = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        data = str(self._folder / "data")
        self._processes.start("postgres", [*_as_nobody(), find("postgres"), "-D", data, *given])
        ready = [find("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        _wait(self._processes, "PostgreSQL", ready)

    def die(self) -> None:
        """Kill it with all its children."""
        self._processes.kill("postgres")

    def dump(self) -> str:
        """Return all that it holds."""
        return subprocess.run(
            [find("pg_dump"), "--no-owner", f"postgresql://{self.address}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def _make(self) -> None:
        data, password = self._folder / "data", self._folder / "password"
        self._folder.mkdir(parents=True)
        password.write_text(self._password)
        if os.getuid() == 0:
            for path in (self._folder, password):
                shutil.chown(path, "nobody")
        options = ("-D", str(data), "-U", "airflow", "-A", "scram-sha-256", f"--pwfile={password}")
        command = (*_as_nobody(), find("initdb"), *options, "--no-sync", "--encoding=UTF8", "--locale=C")
        subprocess.run(command, check=True, capture_output=True, cwd="/")


class Redis(Server):
    """A Redis that keeps nothing on disk."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Serve."""
        self._folder.mkdir(parents=True)
        configuration = self._folder / "redis.conf"
        configuration.write_text(
            f'bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\nsave ""\ndir {self._folder}\n'
        )
        self._processes.start("redis", ["redis-server", str(configuration)])
        _wait(self._processes, "Redis", ["redis-cli", "--no-auth-warning", "-u", self.url, "ping"])


def missing() -> list[str]:
    """Return the programs that are needed and not installed."""
    return [
        *(name for name in ("initdb", "postgres", "pg_isready", "pg_dump") if not _places(name)),
        *(name for name in ("redis-server", "redis-cli") if shutil.which(name) is None),
    ]


def find(program: str) -> str:
    """Return where a program of PostgreSQL is, the newest of several.

    Raises:
        FileNotFoundError: There is none.
    """
    if not (places := _places(program)):
        raise FileNotFoundError(f"there is no {program}")
    return places[-1]


def password() -> str:
    """Return a new password, by which it is found wherever it should not be."""
    return f"secret{secrets.token_hex(16)}"


def _places(program: str) -> list[str]:
    debian = sorted(_DEBIAN.glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
    return [each for each in (shutil.which(program), *map(str, debian)) if each is not None]


def _as_nobody() -> Sequence[str]:
    if os.getuid() != 0:
        return ()
    return ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


def _wait(processes: Processes, name: str, command: Sequence[str]) -> None:
    deadline = time.monotonic() + START_LIMIT
    while subprocess.run(command, capture_output=True, timeout=START_LIMIT).returncode != 0:
        processes.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} does not answer after {START_LIMIT:.0f} s")
        time.sleep(0.1)
