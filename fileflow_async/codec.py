"""Turn any id into a safe path component, reversibly."""

import hashlib
import logging
import re
from functools import lru_cache

from fileflow_async.errors import TargetNameError, quoted

# Airflow's ids are not path-safe: it accepts a DAG named "..", a task named "a\n" and any script.
# What is left as it is: what Airflow's own ids and run ids are made of, so that people can read the paths.
_UNSAFE = re.compile(rb"[^A-Za-z0-9_=,@+:.-]|^[.-]")
_CUT = re.compile(r"%[0-9A-F]?\Z")
_COMPONENT = re.compile(r"(?:[A-Za-z0-9_=,@+:.-]|%[0-9A-F]{2})+")
LONGEST = 150  # bytes; leaves room below the 255 of every file system for what is put around it
_HEAD = 120
_DIGEST = 24  # hex digits: 96 bits, so that two long ids never meet

log = logging.getLogger(__name__)


def encode(text: str, what: str = "id") -> str:
    """Return the path component that stands for `text`.

    Two different texts never get the same component; none is empty, hidden, `.` or `..`, holds a `/` or a
    control character, or is longer than 150 bytes.

    Args:
        text: Any non-empty Unicode text.
        what: How an error calls it.

    Raises:
        TargetNameError: It is not a text, is empty, or is not valid Unicode.
    """
    if not isinstance(text, str):
        raise TargetNameError(f"{what} must be a string, got {type(text).__name__}")
    if not text:
        raise TargetNameError(f"{what} is empty")
    return _encode(text, what)


@lru_cache(maxsize=4096)
def _encode(text: str, what: str) -> str:
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise TargetNameError(f"{what} is not valid Unicode text") from error
    if any(byte < 32 or byte == 127 for byte in raw):
        log.warning("%s %s contains a control character", what, quoted(text))
    component = _UNSAFE.sub(lambda unsafe: b"%%%02X" % unsafe[0][0], raw).decode("ascii")
    if len(component) <= LONGEST:
        return component
    # "~" is never left as it is above: no short id looks like a cut one.
    head = _CUT.sub("", component[:_HEAD])
    return f"{head}~{hashlib.sha256(raw).hexdigest()[:_DIGEST]}"


def decode(component: str) -> str:
    """Return the text that `component` stands for.

    Raises:
        TargetNameError: `encode` never makes this component, or it was cut, so that the text is not in it.
    """
    if not isinstance(component, str):
        raise TargetNameError(f"an encoded id must be a string, got {type(component).__name__}")
    if "~" in component:
        raise TargetNameError(f"{quoted(component)} stands for an id that was too long to be kept whole")
    if not _COMPONENT.fullmatch(component):
        raise TargetNameError(f"{quoted(component)} is not an encoded id")
    raw = re.sub(rb"%(..)", lambda escape: bytes.fromhex(escape[1].decode()), component.encode("ascii"))
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise TargetNameError(f"{quoted(component)} is not an encoded id") from error
    if encode(text) != component:
        raise TargetNameError(f"{quoted(component)} is not an encoded id")
    return text
