"""The commit record: what it says, and that nothing else is taken for one."""

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from fileflow_async import manifest
from fileflow_async.errors import FormatError, TargetCorruptError
from fileflow_async.manifest import Failure, Input, Manifest, Part, Producer, combined_sha256, timestamp
from tests.crash.tally import how_many

DATA = "20261120T101502123Z-t01-7c9e1f02ab44.csv"
NAME = DATA + ".ok"
SHA = "ab" * 32
PARTS = (Part(name="a/0.csv", size=2, sha256="cd" * 32), Part(name="b.csv", size=3, sha256=SHA))

FULL = Manifest(
    data=DATA,
    size=5,
    sha256=SHA,
    etag="e",
    format="csv",
    content_type="text/csv",
    encoding="utf-8",
    compression="gzip",
    rows=20113,
    columns=(("id", "int64"), ("naïve", "string")),
    stats={"amount": {"sum": 12.5, "nulls": 0}},
    producer=Producer(dag_id="d", task_id="t", run_id="r", map_index=3, try_number=2, ti_id="i"),
    slot="20261120T000000Z",
    interval=("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
    inputs=(Input(target="d/run=r/t/output", data=DATA, sha256=SHA),),
    checks=({"name": "not empty", "passed": True},),
    started="2026-11-20T10:15:02.123Z",
    committed="2026-11-20T10:15:09.000Z",
)
FOLDER = replace(FULL, size=5, sha256=combined_sha256(PARTS), etag=None, parts=PARTS)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from([SHA, DATA, "", -1, 1, 0, 2**70]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def record_of(whole: Manifest = FULL, **changes: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(whole.to_bytes())
    record.update(changes)
    return record


def raw_of(record: Any) -> bytes:
    return json.dumps(record).encode()


def refusal(raw: bytes, *, kind: type[Exception] = TargetCorruptError) -> str:
    with pytest.raises(kind) as caught:
        manifest.parse(raw, NAME)
    assert type(caught.value) is kind
    return str(caught.value)


class TestWhatItSays:
    """What is written is what is read."""

    @pytest.mark.parametrize("whole", [FULL, FOLDER, Manifest(data=DATA, size=0, sha256=SHA)])
    def test_it_comes_back_as_it_was(self, whole: Manifest) -> None:
        """All of it, and nothing else."""
        assert manifest.parse(whole.to_bytes(), NAME) == whole

    def test_it_is_what_the_protocol_shows(self) -> None:
        """Other tools read it too."""
        record = record_of()
        assert list(record) == [
            "fileflow", "data", "size", "sha256", "etag", "format", "content_type", "encoding", "compression",
            "rows", "columns", "stats", "producer", "slot", "interval", "inputs", "checks", "started",
            "committed",
        ]  # fmt: skip
        assert record["fileflow"] == 1
        assert record["producer"] == {
            "dag_id": "d", "task_id": "t", "run_id": "r", "map_index": 3, "try": 2, "ti_id": "i",
        }  # fmt: skip
        assert record["inputs"] == [{"target": "d/run=r/t/output", "data": DATA, "sha256": SHA}]
        assert record_of(FOLDER)["parts"] == [part.to_payload() for part in PARTS]
        assert "naïve".encode() in FULL.to_bytes()

    def test_a_folders_hash_is_that_of_what_sha256sum_prints(self) -> None:
        """In the order of the lines."""
        lines = f"{SHA}  b.csv\n{'cd' * 32}  a/0.csv\n"
        assert combined_sha256(PARTS) == hashlib.sha256(lines.encode()).hexdigest()
        assert combined_sha256(reversed(PARTS)) == combined_sha256(PARTS)

    def test_what_later_versions_add_is_ignored(self) -> None:
        """Else no reader could stay behind a writer."""
        record = record_of(later={"a": 1})
        record["producer"]["host"] = "h"
        assert manifest.parse(raw_of(record), NAME) == FULL

    def test_most_may_be_missing(self) -> None:
        """Only data, size and hash make a commit."""
        raw = raw_of({"fileflow": 1, "data": DATA, "size": 5, "sha256": SHA})
        assert manifest.parse(raw, NAME) == Manifest(data=DATA, size=5, sha256=SHA)

    def test_moments_are_utc_to_the_millisecond(self) -> None:
        """As ISO 8601."""
        assert timestamp(1_790_000_000.1239) == "2026-09-21T14:13:20.123Z"


class TestProducer:
    """Who wrote it."""

    def test_it_is_read_from_a_task_instance(self) -> None:
        """As ids only."""
        ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=None, try_number=2, id=5)
        expected = Producer(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=2, ti_id="5")
        assert Producer.of(ti) == expected
        ti.map_index, ti.id = 0, None
        assert Producer.of(ti) == replace(expected, map_index=0, ti_id=None)
        del ti.id
        assert Producer.of(ti).ti_id is None


class TestWhatIsNeverWritten:
    """What every reader would refuse must not hide the value before it."""

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"stats": {"mean": float("nan")}}, "cannot be written as JSON: Out of range float values"),
            ({"stats": {"max": object()}}, "cannot be written as JSON: Object of type object is not"),
            ({"stats": {"\ud800": 1}}, "cannot be written as JSON: 'utf-8' codec can't encode"),
            ({"stats": {1: 1, "1": 1}}, "would be refused by every reader: .* duplicate key '1'"),
            ({"rows": -1}, "would be refused by every reader: .* has rows -1"),
            ({"rows": True}, "would be refused by every reader: .* has rows True"),
            ({"columns": [("id",)]}, "would be refused by every reader: .* has columns with \\['id'\\]"),
            ({"producer": Producer(dag_id=5)}, "would be refused by every reader: .* has dag_id 5"),  # type: ignore[arg-type]
            ({"producer": Producer(try_number=-1)}, "would be refused by every reader: .* has try -1"),
            ({"parts": PARTS}, "would be refused by every reader: .* not that of its parts"),
        ],
    )
    def test_it_is_refused_before_it_is_stored(self, change: dict[str, Any], why: str) -> None:
        """The commit fails, and the older value stands."""
        with pytest.raises(FormatError, match=why):
            replace(FULL, **change).to_bytes()

    def test_so_is_what_is_too_large_to_be_read(self) -> None:
        """With what to do about it."""
        filler = manifest.LIMIT - len(replace(FULL, stats={"x": ""}).to_bytes())
        assert len(replace(FULL, stats={"x": "y" * filler}).to_bytes()) == manifest.LIMIT
        with pytest.raises(FormatError) as caught:
            replace(FULL, stats={"x": "y" * (filler + 1)}).to_bytes()
        assert str(caught.value) == f"the commit record of {DATA!r} would be 65537 bytes; the limit is 65536"
        assert caught.value.__notes__ == [
            "Record fewer statistics, checks or inputs, or write fewer and larger parts."
        ]


class TestWhatIsRefused:
    """One reason each, and the name of the object in each."""

    @pytest.mark.parametrize(
        ("key", "value", "why"),
        [
            ("fileflow", None, "has format None; expected an integer >= 0"),
            ("fileflow", True, "has format True; expected an integer >= 0"),
            ("fileflow", 1.0, "has format 1.0; expected an integer >= 0"),
            ("fileflow", "1", "has format '1'; expected an integer >= 0"),
            ("data", None, f"names data None, expected '{DATA}'"),
            ("data", NAME, f"names data '{NAME}', expected '{DATA}'"),
            ("size", None, "has size None; expected an integer >= 0"),
            ("sha256", None, "has an invalid sha256"),
            ("sha256", "AB" * 32, "has an invalid sha256"),
            ("sha256", "ab" * 32 + "\n", "has an invalid sha256"),
            ("sha256", 5, "has an invalid sha256"),
            ("etag", 5, "has etag 5; expected a string"),
            ("format", ["csv"], "has format ['csv']; expected a string"),
            ("content_type", {}, "has content_type {}; expected a string"),
            ("encoding", True, "has encoding True; expected a string"),
            ("compression", 1, "has compression 1; expected a string"),
            ("slot", 1, "has slot 1; expected a string"),
            ("started", 1, "has started 1; expected a string"),
            ("committed", 1, "has committed 1; expected a string"),
            ("rows", -1, "has rows -1; expected an integer >= 0"),
            ("rows", 1.0, "has rows 1.0; expected an integer >= 0"),
            ("columns", {}, "has columns {}; expected an array"),
            ("columns", ["id"], "has columns with 'id'; expected two strings"),
            ("columns", [["id", 5]], "has columns with ['id', 5]; expected two strings"),
            ("columns", [["a", "b", "c"]], "has columns with ['a', 'b', 'c']; expected two strings"),
            ("interval", ["a"], "has interval with ['a']; expected two strings"),
            ("interval", "ab", "has interval 'ab'; expected an array"),
            ("stats", [], "has stats []; expected an object"),
            ("stats", None, "has stats None; expected an object"),
            ("producer", None, "has producer None; expected an object"),
            ("producer", {"dag_id": 5}, "has dag_id 5; expected a string"),
            ("producer", {"task_id": 5}, "has task_id 5; expected a string"),
            ("producer", {"run_id": 5}, "has run_id 5; expected a string"),
            ("producer", {"ti_id": 5}, "has ti_id 5; expected a string"),
            ("producer", {"map_index": -2}, "has map_index -2; expected an integer >= -1"),
            ("producer", {"try": None}, "has try None; expected an integer >= 0"),
            ("inputs", {}, "has inputs {}; expected an array"),
            ("inputs", ["x"], "has inputs with 'x'; expected objects"),
            ("inputs", [{"data": DATA, "sha256": SHA}], "has no target"),
            ("inputs", [{"target": "t", "sha256": SHA}], "has no data"),
            ("inputs", [{"target": "t", "data": DATA}], "has an invalid sha256"),
            ("checks", [1], "has checks with 1; expected objects"),
            ("parts", {}, "has parts {}; expected an array"),
            ("parts", [1], "has parts with 1; expected objects"),
            ("parts", [{"size": 5, "sha256": SHA}], "has no name"),
            ("parts", [{"name": "a", "sha256": SHA}], "has size None; expected an integer >= 0"),
            ("parts", [{"name": "a", "size": 5}], "has an invalid sha256"),
            ("parts", [{"name": "a", "size": 5, "sha256": SHA}],
             "has a size or a sha256 that is not that of its parts"),
            ("parts", [{"name": "../x", "size": 5, "sha256": SHA}],
             "has a part '../x', which is no path inside a folder"),
            ("parts", [{"name": "a//b", "size": 5, "sha256": SHA}],
             "has a part 'a//b', which is no path inside a folder"),
            ("parts", [{"name": "a", "size": 5, "sha256": SHA}] * 2, "has two parts of one name"),
        ],
    )  # fmt: skip
    def test_types_are_strict(self, key: str, value: Any, why: str) -> None:
        """A record is trusted with what is handed out as data."""
        assert refusal(raw_of(record_of(**{key: value}))) == f"{NAME!r} {why}"

    @pytest.mark.parametrize(
        "change",
        [
            {"size": FOLDER.size + 1},
            {"sha256": SHA},
            {"parts": [PARTS[0].to_payload()]},
            {"parts": []},
        ],
    )
    def test_a_folders_record_must_add_up(self, change: Mapping[str, Any]) -> None:
        """Its size is the sum, its hash that of the lines."""
        why = "has a size or a sha256 that is not that of its parts"
        assert refusal(raw_of(record_of(FOLDER, **change))) == f"{NAME!r} {why}"

    @pytest.mark.parametrize("version", [0, 2, 10**6])
    def test_another_version_is_named(self, version: int) -> None:
        """It is not damage, and the cure is known."""
        raw = raw_of({"fileflow": version, "all": "else is new"})
        assert refusal(raw, kind=FormatError) == (
            f"{NAME!r} uses format {version}; this version reads 1. Upgrade fileflow_async"
        )

    @pytest.mark.parametrize("value", [[], "x", 1, None, True])
    def test_json_that_is_no_object_is_refused(self, value: Any) -> None:
        """With what it is."""
        assert refusal(raw_of(value)) == f"{NAME!r} is a JSON {type(value).__name__}; expected an object"

    def test_a_repeated_key_is_refused_wherever_it_is(self) -> None:
        """Two readers could take one each."""
        raw = FULL.to_bytes().replace(b'"nulls":0', b'"sum":1')
        assert refusal(raw) == f"{NAME!r} is not valid JSON: duplicate key 'sum'"


VALID = FULL.to_bytes()
MUTATED = how_many(sample=5_000, normal=20_000, long=1_000_000)
EXAMPLES = how_many(sample=400, normal=1500, long=50_000)
MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    lambda raw, rng: raw.__setitem__(rng.randrange(len(raw)), rng.randrange(256)),
    lambda raw, rng: raw.__delitem__(slice(*sorted((rng.randrange(len(raw)), rng.randrange(len(raw)))))),
    lambda raw, rng: raw.insert(rng.randrange(len(raw)), rng.choice(b'"\\{}[],:0-.eE\x00\xff')),
    lambda raw, rng: raw.extend(raw[rng.randrange(len(raw)) :]),
)


def survives(raw: bytes) -> bool:
    """Whether it is taken for a record; anything else than our two errors comes out."""
    try:
        found = manifest.parse(raw, NAME)
    except (TargetCorruptError, FormatError):
        return False
    assert found.data == DATA
    assert type(found.size) is int
    assert found.size >= 0
    assert len(bytes.fromhex(found.sha256)) == 32
    return True


class TestFuzz:
    """Only errors of ours, and never a wrong accept."""

    def test_mutated_records_are_refused_or_say_the_same(self) -> None:
        """Bytes changed, cut, doubled: what is still taken is a record whose data is its own stem."""
        rng = random.Random(20261121)
        taken = 0
        for _ in range(MUTATED):
            raw = bytearray(VALID)
            for _ in range(rng.randrange(1, 4)):
                rng.choice(MUTATIONS)(raw, rng)
            taken += survives(bytes(raw))
        assert 0 < taken < MUTATED

    @pytest.mark.parametrize("whole", [FULL, FOLDER])
    def test_no_truncation_is_taken(self, whole: Manifest) -> None:
        """At none of its bytes."""
        raw = whole.to_bytes()
        assert not any(survives(raw[:end]) for end in range(len(raw)))

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(st.dictionaries(st.sampled_from(sorted(record_of(FOLDER))), json_values, max_size=4))
    def test_records_with_other_values_are_refused_or_sound(self, changes: dict[str, Any]) -> None:
        """Types are strict whatever comes; what is taken can be written again and says the same."""
        raw = raw_of(record_of(FOLDER, **changes))
        if survives(raw):
            found = manifest.parse(raw, NAME)
            try:
                again = found.to_bytes()
            except FormatError:
                assert "\\ud" in raw.decode()  # a lone surrogate, which JSON can say and UTF-8 cannot
                return
            assert manifest.parse(again, NAME) == found

    @settings(max_examples=EXAMPLES, deadline=None)
    @example(b"")
    @example(b"null")
    @example(b"\xef\xbb\xbf{}")
    @example('{"fileflow": 1}'.encode("utf-16"))
    @example(b"[" * 60_000)
    @example(b'{"a":' * 12_000)
    @example(b'{"fileflow":' + b"9" * 5000 + b"}")
    @example(b'{"x": 1e999, "fileflow": 1}')
    @given(st.one_of(st.binary(max_size=200), json_values.map(raw_of)))
    def test_noise_is_never_taken(self, raw: bytes) -> None:
        """Whatever lies under the name."""
        assert not survives(raw)
        try:
            manifest.parse_failure(raw, "x.failed")
        except TargetCorruptError:
            return
        assert "error" in json.loads(raw)


class TestFailure:
    """What a producer that has failed for good leaves."""

    failure = Failure(error="boom", producer=FULL.producer)

    def test_it_comes_back_as_it_was(self) -> None:
        """The task, the try and the error."""
        assert manifest.parse_failure(self.failure.to_bytes(), "x.failed") == self.failure
        assert str(self.failure) == "t, try 2: boom"
        assert str(Failure(error="boom")) == "try 1: boom"

    @pytest.mark.parametrize(
        ("error", "kept"),
        [
            ("one\ntwo", "one"),
            ("x" * 501, "x" * 500),
            ("", ""),
            ("\n", ""),
            ("\ud800", "\ud800"),
            ("a\x85b", "a"),
        ],
    )
    def test_only_the_first_line_is_kept(self, error: str, kept: str) -> None:
        """Tracebacks hold what others should not see; nor is a planted one trusted."""
        assert manifest.parse_failure(Failure(error=error).to_bytes(), "x.failed").error == kept
        planted = raw_of({"fileflow": 1, "error": error})
        assert manifest.parse_failure(planted, "x.failed").error == kept

    @pytest.mark.parametrize(
        ("raw", "why"),
        [
            (b"", "'x.failed' is not valid JSON (0 bytes)"),
            (b"{}", "'x.failed' has no error"),
            (b'{"error": 5}', "'x.failed' has error 5; expected a string"),
            (b'{"error": "x", "producer": []}', "'x.failed' has producer []; expected an object"),
        ],
    )
    def test_what_is_none_is_refused(self, raw: bytes, why: str) -> None:
        """As a record is."""
        with pytest.raises(TargetCorruptError) as caught:
            manifest.parse_failure(raw, "x.failed")
        assert str(caught.value) == why
