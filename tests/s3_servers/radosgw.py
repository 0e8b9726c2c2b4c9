"""Ceph's S3 server, a real one from Debian's packages, with a cluster of one disk in memory behind it."""

import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from botocore.session import get_session

from demo.airflow import free_port
from demo.processes import Processes
from fileflow_async.storage.s3_settings import S3Settings

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
START_LIMIT = 30.0  # seconds; measured: 12

# Nobody shows a key to anybody inside the cluster, which only listens on the loopback.
_CONFIGURATION = """
[global]
fsid = {cluster}
mon host = [v1:127.0.0.1:{monitor_port}]
mon initial members = a
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.$pid.asok
log file = {folder}/$name.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
osd class update on start = false
osd crush update on start = false
memstore device bytes = 4294967296
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
"""


def missing() -> list[str]:
    """Return the programs that are needed and not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Radosgw:
    """An S3 server with one user, whose settings are known.

    Its data outlives the server: it is in the cluster, which goes on.

    Args:
        folder: Where the cluster keeps what it does not keep in memory.
        processes: Who runs it.
        secret: The user's secret access key.
    """

    def __init__(self, folder: Path, processes: Processes, *, secret: str) -> None:
        self._folder = folder
        self._processes = processes
        self.settings = S3Settings(
            endpoint_url=f"http://127.0.0.1:{free_port()}",
            region="us-east-1",
            access_key_id="AKIAENDTOEND",
            secret_access_key=secret,
            addressing_style="path",
        )

    def start(self, bucket: str) -> None:
        """Start the cluster and the server, and make a bucket."""
        self._lay_out()
        self._processes.start("ceph-mon", self._command("ceph-mon", "-f", "-i", "a"))
        disk = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", "30", "osd", "new", disk)
        # A disk that does this itself at its start sometimes does it too early, and gives up ("wrong fsid").
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._processes.start("ceph-osd", self._command("ceph-osd", "-f", "-i", "0"))
        self.serve()
        self._wait()
        self._run(
            *("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid=e2e", "--display-name=e2e"),
            *(
                f"--access-key={self.settings.access_key_id}",
                f"--secret-key={self.settings.secret_access_key}",
            ),
        )
        self._client().create_bucket(Bucket=bucket)

    def serve(self) -> None:
        """Start the server alone, again."""
        self._processes.start("radosgw", self._command("radosgw", "-f", "-n", "client.rgw"))

    def die(self) -> None:
        """Kill the server alone."""
        self._processes.kill("radosgw")

    def open_uploads(self, bucket: str) -> list[str]:
        """Return the keys of uploads that are neither completed nor taken back."""
        found = self._client().list_multipart_uploads(Bucket=bucket)
        return [each["Key"] for each in found.get("Uploads", [])]

    def _lay_out(self) -> None:
        cluster, monitor_port = uuid.uuid4(), free_port()
        for name in ("mon", "osd", "rgw"):
            (self._folder / name).mkdir(parents=True)
        (self._folder / "keyring").touch()
        (self._folder / "ceph.conf").write_text(
            _CONFIGURATION.format(
                cluster=cluster,
                monitor_port=monitor_port,
                folder=self._folder,
                port=str(self.settings.endpoint_url).rpartition(":")[2],
            )
        )
        members = str(self._folder / "members")
        address = f"[v1:127.0.0.1:{monitor_port}]"
        self._run("monmaptool", "--create", "--fsid", str(cluster), "--addv", "a", address, members)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", members)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while "starting handler: beast" not in (log := self._log()):
            self._processes.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"radosgw does not serve after {START_LIMIT:.0f} s: {log[-2000:]}")
            time.sleep(0.2)

    def _log(self) -> str:
        log = self._folder / "client.rgw.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [program, "-c", str(self._folder / "ceph.conf"), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [program, *arguments] if program == "monmaptool" else self._command(program, *arguments),
            capture_output=True,
            text=True,
            timeout=START_LIMIT,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def _client(self) -> Any:
        return get_session().create_client(
            "s3",
            endpoint_url=self.settings.endpoint_url,
            region_name=self.settings.region,
            aws_access_key_id=self.settings.access_key_id,
            aws_secret_access_key=self.settings.secret_access_key,
        )
