"""What a DAG file pays for naming a sensor of endpoints."""

import json
import subprocess
import sys

HEAVY = ("aiohttp", "yarl", "aiobotocore", "pandas")


def test_a_dag_file_does_not_pay_for_the_client() -> None:
    """Only a task that asks does; the pages of a download can be named, too."""
    code = f"""
import json, sys, warnings
warnings.simplefilter("ignore")
import fileflow_async.operators.http, fileflow_async.http.pages, fileflow_async.sensors.http
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
