"""What DAG files import of the package, imported before the dag-processor forks a process for each of them.

It imports the modules of Airflow's own that a file names, and loads plugins before (Airflow 3.3): so files
that name ours pay no more. What each sensor asks Airflow's configuration is asked here, too.
"""  # ADR 0030

from contextlib import suppress
from importlib import import_module

from fileflow_async.config import configured_poke_interval, default_timeout
from fileflow_async.errors import ConfigError

MODULES = (
    *("fileflow_async.decorators", "fileflow_async.gates", "fileflow_async.task_runner"),
    *("fileflow_async.operators.dive", "fileflow_async.operators.http"),
    *("fileflow_async.sensors.arrival", "fileflow_async.sensors.dive", "fileflow_async.sensors.http"),
)

for module in MODULES:
    import_module(module)

with suppress(ConfigError):  # the first sensor says what is wrong
    configured_poke_interval()
    default_timeout()
