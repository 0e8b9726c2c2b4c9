"""Tell Airflow what a task read and wrote: asset events, hook lineage, OpenLineage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from airflow.sdk import Asset, AssetAlias, BaseOperator, Context

from fileflow_async.target import Reference


@dataclass(frozen=True, slots=True)
class Lineage:
    """The versions that a task read, and those that it made, by the names of the outputs."""

    inputs: Sequence[Reference]
    outputs: Mapping[str, Reference]


def uri_of(reference: Reference) -> str:
    """Return where a version's target is: the same for all its versions, as that of an asset is."""
    return f"{reference.root}/{reference.target}"


def emit(operator: BaseOperator, context: Context, lineage: Lineage) -> None:
    """Hand the references on with the task's asset events, and to whoever collects the lineage of hooks.

    An outlet gets the reference of the one output, or those of several by their names, as its event's extra;
    an asset alias gets one event a target.
    """
    payloads = {name: reference.to_payload() for name, reference in lineage.outputs.items()}
    extra = next(iter(payloads.values())) if len(payloads) == 1 else payloads
    for outlet in operator.outlets or ():
        if isinstance(outlet, AssetAlias):
            for name, reference in lineage.outputs.items():
                asset = Asset(uri=uri_of(reference), name=reference.target)
                context["outlet_events"][outlet].add(asset, extra=payloads[name])
        elif isinstance(outlet, Asset) and payloads:
            context["outlet_events"][outlet].extra.update(extra)
    _collect(operator, lineage)


def _collect(operator: BaseOperator, lineage: Lineage) -> None:
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    collector = get_hook_lineage_collector()
    for uri in _uris(lineage.inputs):
        collector.add_input_asset(operator, uri=uri)
    for uri in _uris(lineage.outputs.values()):
        collector.add_output_asset(operator, uri=uri)


def openlineage(lineage: Lineage | None) -> Any:
    """Return what OpenLineage's provider asks an operator for, or None where it is not installed."""
    try:
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet as Statistics,
        )
        from airflow.providers.openlineage.extractors import (  # type: ignore[import-not-found]
            OperatorLineage,
        )
    except ImportError:
        return None
    if lineage is None:
        return OperatorLineage()
    return OperatorLineage(
        inputs=[Dataset(*dataset_of(uri)) for uri in _uris(lineage.inputs)],
        outputs=[
            OutputDataset(
                *dataset_of(uri_of(each)),
                outputFacets={"outputStatistics": Statistics(rowCount=each.rows, size=each.size)},
            )
            for each in lineage.outputs.values()
        ],
    )


def dataset_of(uri: str) -> tuple[str, str]:
    """Return the namespace and the name by which OpenLineage knows what is there, whoever tells of it."""
    scheme, _, rest = uri.partition("://")
    if scheme == "file":
        return scheme, unquote(rest)
    authority, _, path = rest.partition("/")
    return f"{scheme}://{authority}", path


def _uris(references: Iterable[Reference]) -> Sequence[str]:
    return tuple(dict.fromkeys(uri_of(reference) for reference in references))
