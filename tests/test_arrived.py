"""The event of an arrival."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fileflow_async.arrived import Arrived, ArrivedFile, Trust, digest_of
from fileflow_async.errors import FormatError
from fileflow_async.outcome import Missing, Outcome

ON_DISK = ArrivedFile(
    uri="file:///in/a.csv", size=5, modified=1.5, trust=Trust.STABLE, mtime_ns=1_500_000_000, inode=2**63
)
IN_S3 = ArrivedFile(uri="s3://lake/a.csv", size=5, modified=1.5, trust=Trust.ATOMIC, etag="e")


def event(*ready: ArrivedFile, **more: Any) -> Arrived:
    return Arrived(
        outcome=Outcome.READY, ready=ready, ready_count=len(ready), digest=digest_of(ready), **more
    )


def missing(count: int, why: str = "it is empty") -> list[Missing]:
    return [Missing(target=f"file:///in/{n}", state="EMPTY", why=why) for n in range(count)]


def test_an_event_has_the_shape_of_every_wait() -> None:
    """Outcome, what is ready, what is missing, and the counts."""
    payload = event(
        ON_DISK, IN_S3, missing=missing(1), missing_count=1, guess="a guess", newest=1.5
    ).to_payload()
    assert payload == {
        "outcome": "ready",
        "ready": [
            {
                "uri": "file:///in/a.csv", "size": 5, "modified": 1.5, "trust": "stable",
                "mtime_ns": 1_500_000_000, "inode": 2**63,
            },
            {"uri": "s3://lake/a.csv", "size": 5, "modified": 1.5, "trust": "atomic", "etag": "e"},
        ],
        "missing": [{"target": "file:///in/0", "state": "EMPTY", "why": "it is empty"}],
        "ready_count": 2,
        "missing_count": 1,
        "guess": "a guess",
        "newest": 1.5,
        "digest": digest_of([ON_DISK, IN_S3]),
    }  # fmt: skip


def test_an_event_is_made_of_json_values_only() -> None:
    """No enumerations: the triggerer encodes events in ways that do not know them."""
    payload = event(ON_DISK, missing=missing(1)).to_payload()

    def check(value: Any) -> None:
        assert type(value) in (dict, list, str, int, float, bool, type(None)), value
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(each)

    check(payload)


def test_an_event_survives_its_way() -> None:
    """Through JSON and back."""
    before = event(ON_DISK, IN_S3, missing=tuple(missing(3)), missing_count=3, guess="g", newest=1.5)
    assert Arrived.from_payload(json.loads(json.dumps(before.to_payload()))) == before


@pytest.mark.parametrize(("count", "told"), [(1, 1), (50, 50), (51, 20), (1000, 20)])
def test_of_many_files_only_some_travel(count: int, told: int) -> None:
    """Events are rows in Airflow's database."""
    many = [
        ArrivedFile(uri=f"s3://lake/{n:04}", size=1, modified=1.0, trust=Trust.STABLE, etag="e")
        for n in range(count)
    ]
    after = Arrived.from_payload(event(*many).to_payload())
    assert (len(after.ready), after.ready_count, after.is_whole) == (told, count, told == count)


@given(st.integers(0, 60), st.integers(0, 40), st.integers(1, 2000))
def test_an_event_is_never_larger_than_16_kb(ready: int, missed: int, length: int) -> None:
    """However long the names are; the counts still say how many there are."""
    files = [
        ArrivedFile(uri="s3://" + "x" * length, size=1, modified=1.0, trust=Trust.STABLE, etag="e")
        for _ in range(ready)
    ]
    payload = event(*files, missing=missing(missed, "y" * length), missing_count=missed).to_payload()
    assert len(json.dumps(payload)) <= 16_000
    assert (payload["ready_count"], payload["missing_count"]) == (ready, missed)


GOOD = event(ON_DISK, missing=tuple(missing(1)), missing_count=1).to_payload()


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "ready",
        ["ready"],
        {},
        {"outcome": "ready"},
        GOOD | {"outcome": "great"},
        GOOD | {"ready": None},
        GOOD | {"ready": ["file:///in/a.csv"]},
        GOOD | {"ready": [{}]},
        GOOD | {"ready": [ON_DISK.to_payload() | {"trust": "blind"}]},
        GOOD | {"ready": [ON_DISK.to_payload() | {"colour": "red"}]},
        GOOD | {"ready": [ON_DISK.to_payload() | {"size": "5"}]},
        GOOD | {"ready": [ON_DISK.to_payload() | {"size": True}]},
        GOOD | {"ready": [ON_DISK.to_payload() | {"inode": 1.5}]},
        GOOD | {"ready": [ON_DISK.to_payload() | {"uri": 5}]},
        GOOD | {"ready": [ON_DISK.to_payload() | {"modified": "now"}]},
        GOOD | {"ready": [IN_S3.to_payload() | {"etag": 5}]},
        GOOD | {"missing": [{"target": "x"}]},
        GOOD | {"ready_count": "many"},
        GOOD | {"missing_count": float("inf")},
        GOOD | {"missing_count": None},
        GOOD | {"ready_count": 0},
        GOOD | {"ready": [], "ready_count": 0},
        {"status": "success"},
    ],
    ids=str,
)
def test_what_is_no_such_event_is_an_error(payload: object) -> None:
    """Never taken for success."""
    with pytest.raises(FormatError, match="is not the event of an arrival"):
        Arrived.from_payload(payload)


def test_no_event_is_told_as_such() -> None:
    """Airflow hands on None where a trigger ended without one."""
    with pytest.raises(
        FormatError, match="None is not the event of an arrival: expected an object, got NoneType"
    ):
        Arrived.from_payload(None)


def test_a_digest_stands_for_the_versions_in_any_order() -> None:
    """Time of modification left out: an object stored again with the same bytes is the same."""
    assert digest_of([ON_DISK, IN_S3]) == digest_of([IN_S3, ON_DISK])
    assert (
        len({digest_of(files) for files in ([], [ON_DISK], [IN_S3], [ON_DISK, IN_S3], [ON_DISK, ON_DISK])})
        == 5
    )
    assert len(digest_of([])) == 32


def test_an_event_is_told_in_one_line() -> None:
    """With the first few of what is missing."""
    told = event(ON_DISK, missing=missing(7), missing_count=9).describe()
    assert told.startswith("1 arrived; missing file:///in/0 (it is empty), file:///in/1")
    assert told.endswith("file:///in/4 (it is empty) and 4 more")
    assert event(ON_DISK).describe() == "1 arrived"
