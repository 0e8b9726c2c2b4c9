"""Requests to endpoints of others, and what becomes of the answers: no Airflow."""
