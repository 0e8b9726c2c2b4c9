"""Somebody outside who drops a file, slowly and when it suits him."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

RATES = {"USD": 1.25, "GBP": 0.8, "JPY": 160.0}


def drop(inbox: Path, day: datetime, *, tell: Callable[[str], None], pause: float = 1.5) -> None:
    """Write the rates of a day line by line, then the done file that says that they are whole."""
    path = inbox / f"rates-{day:%Y-%m-%d}.csv"
    with path.open("w", buffering=1) as file:
        for line in ["currency,rate", *(f"{currency},{rate}" for currency, rate in RATES.items())]:
            file.write(f"{line}\n")
            tell(f"{path.name} is being written: {path.stat().st_size} bytes so far")
            time.sleep(pause)
    (done := path.with_name(f"{path.name}.done")).touch()
    tell(f"{done.name} is there, so it is whole")
