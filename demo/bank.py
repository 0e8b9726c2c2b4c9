"""Somebody outside who drops a file, slowly and when it suits him."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event

RATES = {"USD": 1.25, "GBP": 0.8, "JPY": 160.0}


def drop(
    inbox: Path, day: datetime, *, tell: Callable[[str], None], given_up: Event, pause: float = 1.5
) -> None:
    """Write the rates of a day line by line, then the done file that says that they are whole."""
    path = inbox / f"rates-{day:%Y-%m-%d}.csv"
    with path.open("w", buffering=1) as file:
        for line in ["currency,rate", *(f"{currency},{rate}" for currency, rate in RATES.items())]:
            file.write(f"{line}\n")
            tell(f"{path.name} is being written: {path.stat().st_size} bytes so far")
            if given_up.wait(pause):
                return
    (done := path.with_name(f"{path.name}.done")).touch()
    tell(f"{done.name} is there, so it is whole")


@contextmanager
def dropping(inbox: Path, day: datetime, *, tell: Callable[[str], None]) -> Iterator[None]:
    """Drop the file beside the block; at its end it is there, or nobody waits for it any more."""
    given_up = Event()
    with ThreadPoolExecutor(1) as somebody:
        dropped = somebody.submit(drop, inbox, day, tell=tell, given_up=given_up)
        try:
            yield
        finally:
            given_up.set()
        dropped.result()
