"""Who may see what: Airflow decides, DAG by DAG."""

from collections.abc import Collection

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import HTTPException, Request, status
from fastapi.concurrency import run_in_threadpool

from fileflow_async import codec
from fileflow_async.errors import TargetNameError

User = GetUserDep  # refuses whoever is not logged in


async def require(request: Request, user: User, key: str) -> None:
    """Refuse, with 403, who may not see the task instances of the DAG that a key or a prefix begins with."""
    component, separator, _ = key.partition("/")
    try:
        dag_id = codec.decode(component)
    except TargetNameError:
        dag_id = ""  # it was too long to be kept whole: of whom it is cannot be told
    if not separator or not dag_id or dag_id == "~":  # which would stand for all of them
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    check = requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE, dag_id)
    await run_in_threadpool(check, request, user)


async def readable(user: User) -> Collection[str]:
    """Return the ids of the DAGs that a user may see."""
    return await run_in_threadpool(get_auth_manager().get_authorized_dag_ids, user=user)
