"""From Airflow's connections to open stores."""
