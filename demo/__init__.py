"""A real Airflow, started for an hour: what `make demo` runs, and what tests of the whole system build on."""
