"""moto in a process of its own, on a free port of the loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CODE = """
import functools, sys, threading
from moto.s3.responses import S3Response

lock = threading.Lock()


def at_once(method):  # moto looks, then stores: of two conditional writes at once both may win
    @functools.wraps(method)
    def locked(*args, **kwargs):
        with lock:
            return method(*args, **kwargs)

    return locked


for name in ("put_object", "_key_response_post"):
    setattr(S3Response, name, at_once(getattr(S3Response, name)))

from moto.moto_server.threaded_moto_server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until whoever started us lets go, or dies
"""


@contextmanager
def moto_server() -> Iterator[int]:
    """Run moto while the block lasts, and give its port."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"S3_UPLOAD_PART_MIN_SIZE": "1"},  # so that tests of many parts move few bytes
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.close()
        process.terminate()
        process.wait()
