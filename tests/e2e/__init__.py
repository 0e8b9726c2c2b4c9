"""Airflow as a team runs it, on this machine: what fails only where there is more than one of everything."""
