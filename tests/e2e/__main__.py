"""Run the whole system, break parts of it, and say what became of it: `python -m tests.e2e`."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from demo.processes import ProcessError
from tests.e2e import (
    aftermath,
    backfill,
    database,
    examples,
    frozen,
    killed_worker,
    outage,
    servers,
    waits,
)
from tests.e2e.account import Account, FailedCheckError
from tests.e2e.team import Team
from tests.s3_servers import radosgw

_PARTS = {
    "examples": examples.run,
    "waits": waits.run,
    "frozen": frozen.run,
    "backfill": backfill.run,
    "killed_worker": killed_worker.run,
    "outage": outage.run,
    "database": database.run,
}


def main() -> int:
    """Return the exit code: 0 when all is well, 1 when not, 2 when it cannot be tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []], help="what to try; everything if left out")
    parts = parser.parse_args().parts
    if missing := [*servers.missing(), *radosgw.missing()]:
        print(f"missing: {', '.join(missing)}; on Debian: apt-get install {' '.join(servers.PACKAGES)}")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="fileflow-e2e-"))
    folder.chmod(0o755)  # PostgreSQL is run by somebody else
    account = Account()
    try:
        with Team(folder, account) as team:
            for part in parts or _PARTS:
                _PARTS[part](team)
            aftermath.run(team)
    except (FailedCheckError, ProcessError, TimeoutError) as error:
        print(f"{error}\nlogs and data are kept in {folder}", file=sys.stderr)
        return 1
    except BaseException:  # Ctrl-C too
        print(f"logs and data are kept in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    account.begin(f"{account.checked} checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
