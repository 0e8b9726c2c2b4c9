# One image for all of Airflow: triggers run in the triggerer, so that every process needs the package.
# Versions are those of constraints.txt, and what is downloaded has to have its hashes.
FROM python:3.12.11-slim-bookworm AS build
WORKDIR /src
COPY constraints.txt pyproject.toml ./
RUN awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' constraints.txt >uv.txt \
    && pip install --no-cache-dir --require-hashes --only-binary :all: -r uv.txt \
    && uv venv /opt/airflow/venv
ENV VIRTUAL_ENV=/opt/airflow/venv UV_LINK_MODE=copy
# What the package needs comes first: a layer that changes with its dependencies only.
RUN uv pip install --no-cache --constraints constraints.txt -r pyproject.toml \
    --extra pandas --extra polars --extra zstd --extra e2e
COPY README.md LICENSE ./
COPY fileflow_async fileflow_async
RUN uv pip install --no-cache --no-deps --build-constraints constraints.txt .

FROM python:3.12.11-slim-bookworm
# The folders are the user's before they become volumes, which inherit that.
RUN useradd --uid 50000 --gid 0 --home-dir /opt/airflow --no-create-home airflow \
    && install --directory --owner airflow --group 0 /opt/airflow /opt/airflow/dags /opt/airflow/logs
COPY --from=build /opt/airflow/venv /opt/airflow/venv
ENV AIRFLOW_HOME=/opt/airflow PATH=/opt/airflow/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /opt/airflow
USER airflow
ENTRYPOINT ["airflow"]
