"""The link from a task to its targets."""

from typing import Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink

from fileflow_async.config import Settings, configured

PAGE = "/fileflow/"  # where the plugin serves its page, below the address of Airflow's API server


class TargetsLink(BaseOperatorLink):
    """Opens what the store has of a task's targets, whatever has become of them."""

    name = "Targets"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address; none for a store that the page does not show.

        Args:
            operator: The task's.
            ti_key: Its try: Airflow hands over the whole task instance when the task has ended.
        """
        from fileflow_async.storage.resolve import parse_root  # ADR 0030

        settings = Settings.load()
        root = str(parse_root(getattr(operator, "fileflow_root", None) or settings.root))
        prefix = prefix_of(ti_key)
        if settings.target_url is not None:
            return _filled(settings.target_url, root, prefix)
        if root != str(parse_root(settings.root)):
            return ""
        base = (configured("api", "base_url") or "").rstrip("/")
        return f"{base}{PAGE}?prefix={quote(prefix, safe='')}"


def prefix_of(ti: Any) -> str:
    """Return what the keys of a task's targets begin with."""
    from fileflow_async import codec  # ADR 0030
    from fileflow_async.target import Slot

    slot = codec.encode(str(Slot.of(ti.get_template_context())), "slot")
    mapped = f"map={ti.map_index}/" if ti.map_index is not None and ti.map_index >= 0 else ""
    return f"{codec.encode(ti.dag_id, 'dag_id')}/{slot}/{codec.encode(ti.task_id, 'task_id')}/{mapped}"


def _filled(template: str, root: str, prefix: str) -> str:
    parts = urlsplit(root)
    path = parts.path.strip("/")
    for name, value in {
        "{root}": root,
        "{bucket}": parts.netloc,
        "{prefix}": prefix if parts.scheme == "file" or not path else f"{path}/{prefix}",
    }.items():
        template = template.replace(name, quote(value, safe="/:"))
    return template
