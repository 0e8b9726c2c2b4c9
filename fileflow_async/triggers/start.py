"""How a task tells its trigger of its run and of its time, before any worker has seen it."""

BACKSTOP = 30.0  # seconds that Airflow's timeout lies behind our own deadline

# What the run has, so that its slot can be told where nothing but templates knows of it.
SLOT_TEMPLATE = (
    "{{ {'logical_date': dag_run.logical_date.isoformat() if dag_run.logical_date else None,"
    " 'partition_key': dag_run.partition_key if dag_run.partition_key is defined else None,"
    " 'run_id': dag_run.run_id} | tojson }}"
)
