"""The example DAGs, run from end to end by Airflow itself."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fileflow_async import Slot, Target, open_store

DAGS = Path(__file__).parents[2] / "dags"
DAY = datetime(2026, 11, 20, tzinfo=UTC)
RUN = """
import sys
from datetime import datetime, UTC
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
for name in ("shop", "shop_report", "rates", "shop_abroad", "from_fileflow"):
    run = bag.dags[name].test(logical_date=datetime(2026, 11, 20, tzinfo=UTC))
    print(name, run.state)
    assert run.state == "success", name
"""


@pytest.mark.timeout(240)
def test_the_examples_run_by_dag_test(tmp_path: Path) -> None:
    """A mapped extract, a merge, a report that waits for it, a file, what needs both; a DAG of old."""
    (root := tmp_path / "store").mkdir()
    (tmp_path / "rates-2026-11-20.csv").write_text("currency,rate\nUSD,1.25\n")
    (tmp_path / "rates-2026-11-20.csv.done").touch()
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__FILEFLOW__ROOT": root.as_uri(),
        "AIRFLOW_VAR_INBOX": str(tmp_path),
    }
    commands = ([sys.executable, "-m", "airflow", "db", "migrate"], [sys.executable, "-c", RUN, str(DAGS)])
    for command in commands:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    async def read(dag_id: str, task_id: str) -> bytes:
        async with open_store(root.as_uri()) as store:
            return await store.read(Target(dag_id=dag_id, task_id=task_id, slot=Slot(logical_date=DAY)))

    assert json.loads(asyncio.run(read("shop_report", "report"))) == {"orders": 15, "sum": 450}
    assert asyncio.run(read("from_fileflow", "derived")) == "björk".encode()
    assert json.loads(asyncio.run(read("from_fileflow", "stamp")))["RUN"].endswith("+00:00")
    assert json.loads(asyncio.run(read("shop_abroad", "convert"))) == {"USD": 562.5}
