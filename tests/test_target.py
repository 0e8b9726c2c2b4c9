"""Places, attempts and versions: keys, names, and what cannot be one."""

import string
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from fileflow_async import codec
from fileflow_async.errors import FormatError, TargetNameError
from fileflow_async.target import (
    Attempt,
    Reference,
    Slot,
    Target,
    check_extension,
    check_key,
    milliseconds_of,
    run_of,
    token_at,
    token_milliseconds,
)
from tests.tries import T0, ti_id

DATE = datetime(2026, 11, 20, 10, 15, 2, tzinfo=UTC)
LAST = 253_402_300_799_998  # the newest moment that an attempt can have

ids = st.one_of(
    st.text(min_size=1, max_size=40), st.sampled_from(["..", ".", "-x", "a/b", "~", "é", "a" * 90])
)
names = st.text(alphabet=string.ascii_letters + string.digits + "_.-", min_size=1, max_size=100).filter(
    lambda name: name[0] not in ".-"
)
slots = st.one_of(
    st.builds(
        lambda moment: Slot(logical_date=moment), st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC))
    ),
    st.builds(lambda text: Slot(run_id=text), ids),
    st.builds(lambda text: Slot(partition_key=text), ids),
)
targets = st.builds(
    lambda dag, task, slot, index, name: Target(
        dag_id=dag, task_id=task, slot=slot, map_index=index, name=name
    ),
    ids,
    ids,
    slots,
    st.integers(-1, 10**6),
    names,
)
noise = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789TZ-t.csvokpartabcdef", max_size=60),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


class TestSlot:
    """What a run is about, as a text."""

    @pytest.mark.parametrize(
        ("given_", "text"),
        [
            ({"logical_date": DATE}, "20261120T101502Z"),
            ({"logical_date": DATE.replace(microsecond=120)}, "20261120T101502.000120Z"),
            (
                {"logical_date": datetime(2026, 11, 20, 1, tzinfo=timezone(timedelta(hours=2)))},
                "20261119T230000Z",
            ),
            ({"run_id": "manual__x"}, "run=manual__x"),
            ({"partition_key": "eu"}, "key=eu"),
            ({"partition_key": "eu", "logical_date": DATE, "run_id": "r"}, "key=eu"),
            ({"logical_date": DATE, "run_id": "r"}, "20261120T101502Z"),
        ],
    )
    def test_the_partition_key_goes_before_the_date_and_that_before_the_run(
        self, given_: dict[str, Any], text: str
    ) -> None:
        """Give whatever the run has."""
        assert str(Slot(**given_)) == text

    @settings(max_examples=500)
    @given(slots)
    def test_its_text_leads_back_to_it(self, slot: Slot) -> None:
        """Another DAG reads the slot from a key."""
        assert str(Slot.parse(str(slot))) == str(slot)

    @settings(max_examples=1000)
    @example("2026112T101502Z")
    @example("20261120t101502z")
    @example("20261120T101502.5Z")
    @example("20261120T101502.000000Z")
    @example("20261320T000000Z")
    @example("run=")
    @example("key=")
    @example("other=x")
    @example("")
    @given(st.one_of(noise, st.text(alphabet="0123456789TZtz.", max_size=24)))
    def test_no_other_text_is_a_slot(self, text: str) -> None:
        """A slot has one text only."""
        try:
            slot = Slot.parse(text)
        except TargetNameError:
            return
        assert str(slot) == text

    @pytest.mark.parametrize(
        ("given_", "message"),
        [
            ({}, "a slot needs a partition_key, a logical_date or a run_id"),
            ({"run_id": ""}, "run_id is empty"),
            ({"run_id": 5}, "run_id must be a string, got int"),
            ({"partition_key": ""}, "partition_key is empty"),
            ({"partition_key": "\ud800"}, "partition_key is not valid Unicode text"),
            ({"logical_date": "2026-11-20"}, "logical_date must be a datetime, got str"),
            (
                {"logical_date": DATE.replace(tzinfo=None)},
                "logical_date must have a time zone, got 2026-11-20T10:15:02",
            ),
        ],
    )
    def test_what_is_no_slot_is_refused_when_it_is_made(self, given_: dict[str, Any], message: str) -> None:
        """Not when its text is first needed."""
        with pytest.raises(TargetNameError) as caught:
            Slot(**given_)
        assert str(caught.value) == message

    def test_it_is_read_from_a_context_or_else_from_its_run(self) -> None:
        """Asset-triggered runs have no logical date, older Airflows no partition key."""
        run = SimpleNamespace(logical_date=DATE, run_id="r", partition_key="eu")
        assert str(Slot.of({"dag_run": run})) == "key=eu"
        assert str(Slot.of({"dag_run": SimpleNamespace(run_id="r"), "logical_date": None})) == "run=r"
        assert str(Slot.of({"logical_date": DATE, "run_id": "r"})) == "20261120T101502Z"


class TestTarget:
    """The place of an output, and its key."""

    def test_its_key_is_where_it_lies(self) -> None:
        """Every part encoded; unmapped tasks have no `map=`."""
        slot = Slot(run_id="manual__2026-11-20T00:00:00+00:00")
        target = Target(dag_id="..", task_id="a/b", slot=slot)
        assert target.key == "%2E./run=manual__2026-11-20T00:00:00+00:00/a%2Fb/output"
        assert replace(target, map_index=0, name="orders").key == (
            "%2E./run=manual__2026-11-20T00:00:00+00:00/a%2Fb/map=0/orders"
        )

    def test_people_read_it_as_a_sentence(self) -> None:
        """In logs and errors."""
        target = Target(dag_id="sales", task_id="extract", slot=Slot(logical_date=DATE), name="orders")
        assert str(target) == "'orders' of sales/20261120T101502Z/extract"
        assert str(replace(target, map_index=3)) == "'orders' of sales/20261120T101502Z/extract[3]"

    @settings(max_examples=1000)
    @given(targets)
    def test_its_key_leads_back_to_it(self, target: Target) -> None:
        """Unless an id was too long to be kept whole, which is said."""
        assert check_key(target.key) == target.key
        if "~" in target.key:
            with pytest.raises(TargetNameError, match="too long to be kept whole"):
                Target.parse(target.key)
        else:
            assert Target.parse(target.key).key == target.key

    @settings(max_examples=2000)
    @example("d/run=r/t/map=1٣/output")
    @example("d/run=r/t/map=01/output")
    @example(f"d/run=r/t/map={'9' * 5000}/output")
    @example("d/2026112T101502Z/t/output")
    @example("d/run=r/t/map=-1/output")
    @example("d/run=r/t/x/output")
    @example("./run=r/t/output")
    @example("d/../t/output")
    @example("d//t/output")
    @example("d/run=r/t/output\n")
    @example(".feed/20261120T1015/x/output")
    @given(
        st.one_of(
            noise,
            st.lists(
                st.sampled_from(["d", "run=r", "20261120T000000Z", "%2E.", "..", ".", "", "map=1", "x~"])
                | st.text(max_size=5),
                max_size=6,
            ).map("/".join),
        )
    )
    def test_no_other_key_is_a_targets(self, key: str) -> None:
        """Only errors of ours, and no key that means what another means."""
        try:
            assert check_key(key) == key
        except TargetNameError:
            with pytest.raises(TargetNameError):
                Target.parse(key)
            return
        assert not any(part in ("", ".", "..") or part.startswith(".") for part in key.split("/"))
        assert key.isascii()
        with suppress(TargetNameError):  # a cut id, or a slot that is none
            assert Target.parse(key).key == key

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            (5, "a target's key must be a string, got int"),
            ("a/b/c", "'a/b/c' is not the key of a target: <dag>/<slot>/<task>[/map=<i>]/<name>"),
            ("é/b/c/output", "'é/b/c/output' has the part 'é', which is not an encoded id"),
            (
                "a/b/c/-x",
                (
                    "target name '-x' may only contain letters, digits, '_', '-', '.' "
                    "and must not start with '.' or '-'"
                ),
            ),
        ],
    )
    def test_a_bad_key_is_explained(self, key: str, message: str) -> None:
        """It came from a DAG file or a trigger's arguments."""
        with pytest.raises(TargetNameError) as caught:
            check_key(key)
        assert str(caught.value) == message

    def test_mapped_instances_and_names_never_share_a_place(self) -> None:
        """No name looks like `map=0`."""
        with pytest.raises(TargetNameError):
            Target(dag_id="d", task_id="t", slot=Slot(run_id="r"), name="map=0")

    def test_targets_of_one_run_begin_alike(self) -> None:
        """Which is what one listing finds them by."""
        target = Target(dag_id="a/b", task_id="t", slot=Slot(run_id="r"), map_index=1)
        assert run_of(target.key) == "a%2Fb/run=r"
        assert target.key.startswith(run_of(target.key) + "/")


@pytest.mark.parametrize("extension", ["csv", "csv.gz", "tar.gz", "x_1", "ok.csv", "part.x", "OK"])
def test_a_good_extension_is_taken(extension: str) -> None:
    """Of any number of parts."""
    assert check_extension(extension) == extension


@pytest.mark.parametrize(
    "extension", ["ok", "csv.ok", "part", "a.part", "failed", "", ".csv", "csv.", "a..b", "a/b", "é", "a\n"]
)
def test_a_bad_extension_is_refused(extension: str) -> None:
    """The protocol needs `.ok`, `.part` and `.failed` for itself."""
    with pytest.raises(TargetNameError):
        check_extension(extension)


class TestAttempt:
    """One try's name."""

    def test_its_name_says_when_which_and_what(self) -> None:
        """For people with `ls`."""
        attempt = Attempt("20261120T101502123Z", 1, "7c9e1f02ab44", "csv.gz")
        assert attempt.name == "20261120T101502123Z-t01-7c9e1f02ab44.csv.gz"
        assert attempt.stem == "20261120T101502123Z-t01-7c9e1f02ab44"
        assert (
            replace(attempt, extension=None, try_number=123).name == "20261120T101502123Z-t123-7c9e1f02ab44"
        )

    @settings(max_examples=1000)
    @given(st.integers(0, LAST), st.integers(0, 10**9 - 1), st.sampled_from([None, "csv", "csv.gz"]))
    def test_what_begins_can_be_read_back(self, moment: int, number: int, extension: str | None) -> None:
        """Else its commit would be seen by nobody."""
        attempt = Attempt.begin(moment, try_number=number, extension=extension)
        assert Attempt.parse(attempt.name) == attempt
        assert token_milliseconds(attempt.token) == moment

    def test_two_of_one_millisecond_differ(self) -> None:
        """By the nonce."""
        assert len({Attempt.begin(T0).name for _ in range(100)}) == 100

    def test_those_of_forked_processes_differ(self) -> None:
        """Airflow's workers are forks of one process, and a user may seed `random` in each."""
        code = """
import os, random
from fileflow_async.target import Attempt
for _ in range(2):
    if os.fork() == 0:
        break
random.seed(1)
os.write(1, Attempt.begin(1).nonce.encode() + b"\\n")
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50
        )
        assert len(set(done.stdout.split())) == 3

    @settings(max_examples=500)
    @given(st.integers(0, LAST), st.integers(0, LAST))
    def test_names_sort_as_their_moments_do(self, one: int, other: int) -> None:
        """Newer is what sorts later, and that is all a reader goes by."""
        assert (token_at(one) < token_at(other)) == (one < other)

    @settings(max_examples=1500)
    @example("20261120T101502123Z-t01-7c9e1f02ab44.")
    @example("20261120T101502123Z-t1-7c9e1f02ab44")
    @example("20261120T101502123Z-t001-7c9e1f02ab44")
    @example("20261120T101502123Z-t01-7c9e1f02ab44.ok")
    @example("20261120T101502123Z-t01-7c9e1f02ab44.csv.ok")
    @example("20261120T101502123Z-t01-7c9e1f02ab44.csv.part")
    @example("20261120T101502123Z-t01-7c9e1f02ab44.failed")
    @example("20261120T101502123Z-t01-7C9E1F02AB44.csv")
    @example("20261120T101502123Z-t01-7c9e1f02ab44.a/b")
    @example("20261120T101502123Z-t01-7c9e1f02ab44\n")
    @example("20261131T101502123Z-t01-7c9e1f02ab44")
    @example("20261120T101560123Z-t01-7c9e1f02ab44")
    @example("20261120T241502123Z-t01-7c9e1f02ab44")
    @example("00000101T000000000Z-t01-7c9e1f02ab44")
    @example("99991231T235959999Z-t01-7c9e1f02ab44")
    @example("٢٠٢٦1120T101502123Z-t01-7c9e1f02ab44")
    @example("20261120T101502123Z-t٠١-7c9e1f02ab44")
    @example(f"20261120T101502123Z-t{'9' * 5000}-7c9e1f02ab44")
    @given(
        st.one_of(
            noise,
            st.from_regex(r"\d{8}T\d{9}Z-t\d{2}-[0-9a-f]{12}(\.[a-z.]{0,8})?", fullmatch=True),
        )
    )
    def test_no_other_name_is_an_attempts(self, name: str) -> None:
        """A planted name is nobody's, and no parser of ours stumbles over it."""
        attempt = Attempt.parse(name)
        if attempt is not None:
            assert attempt.name == name
            assert name.isascii()
            assert not name.endswith((".ok", ".part", ".failed"))
            assert token_milliseconds(attempt.token) <= LAST  # so that another can be newer

    @pytest.mark.parametrize(
        "name",
        [
            "20261120T101502123Z-t01-7c9e1f02ab44.csv.ok",
            "99991231T235959999Z-t01-7c9e1f02ab44",
            "٢٠٢٦1120T101502123Z-t01-7c9e1f02ab44",
            "20261131T101502123Z-t01-7c9e1f02ab44",
            "20261120T101502123Z-t001-7c9e1f02ab44",
        ],
    )
    def test_some_that_look_like_one_are_not(self, name: str) -> None:
        """A record is no data; nothing could be newer than the last millisecond; digits are 0 to 9."""
        assert Attempt.parse(name) is None

    @pytest.mark.parametrize(
        ("given_", "message"),
        [
            ({"try_number": -1}, "try_number must be an integer >= 0, got -1"),
            ({"try_number": True}, "try_number must be an integer >= 0, got True"),
            ({"try_number": "1"}, "try_number must be an integer >= 0, got '1'"),
            ({"extension": "csv.ok"}, "extension 'csv.ok' is reserved"),
        ],
    )
    def test_what_could_not_be_read_back_never_begins(self, given_: dict[str, Any], message: str) -> None:
        """Its commit would be acknowledged and never seen."""
        with pytest.raises(TargetNameError) as caught:
            Attempt.begin(T0, **given_)
        assert str(caught.value) == message

    def test_the_end_of_time_is_refused(self) -> None:
        """A planted name from the year 9999 must not push our own attempts out of sight."""
        assert Attempt.parse(Attempt.begin(LAST).name) is not None
        with pytest.raises(TargetNameError, match=r"^no attempt can be as new as 99991231T235959999Z$"):
            Attempt.begin(LAST + 1)


class TestTryMoments:
    """When a try was made, by its task instance's id."""

    @given(st.integers(0, LAST), st.integers(0, 2**62 - 1))
    def test_a_uuid7_tells_its_moment(self, moment: int, draw: int) -> None:
        """To the millisecond, by the server's clock."""
        assert milliseconds_of(ti_id(moment, draw=draw)) == moment

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "",
            "x",
            "not-a-uuid",
            "6f2c1c62-6e2b-4b56-9f43-3c1ee0a1c0de",
            ti_id(LAST + 1),
            ti_id(2**48 - 1),
        ],
    )
    def test_anything_else_tells_none(self, value: str | None) -> None:
        """Then the clock does; ids from beyond the year 9999 are garbage."""
        assert milliseconds_of(value) is None


class TestReference:
    """One committed version, small enough for XCom."""

    reference = Reference(
        target="shop/run=r/extract/output",
        data="20261120T101502123Z-t01-7c9e1f02ab44.csv",
        size=3,
        sha256="ab" * 32,
        rows=2,
        format="csv",
        root="s3://lake/ff",
    )

    def test_it_survives_xcom(self) -> None:
        """As a JSON object without what is not known."""
        payload = self.reference.to_payload()
        assert Reference.from_payload(payload) == self.reference
        small = replace(self.reference, rows=None, format=None, root=None)
        assert sorted(small.to_payload()) == ["data", "sha256", "size", "target"]
        assert Reference.from_payload({**small.to_payload(), "later": "version"}) == small

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"target": None}, "has target None"),
            ({"target": "../x"}, "names no target: '../x' is not the key of a target"),
            ({"data": 5}, "has data 5"),
            ({"data": "../../etc/passwd"}, "names data '../../etc/passwd', which no attempt writes"),
            ({"size": True}, "has size True"),
            ({"size": -1}, "has size -1"),
            ({"size": 1.0}, "has size 1.0"),
            ({"rows": -1}, "has rows -1"),
            ({"rows": "2"}, "has rows '2'"),
            ({"sha256": "ab"}, "has an invalid sha256"),
            ({"sha256": "AB" * 32}, "has an invalid sha256"),
            ({"root": 5}, "has root 5"),
        ],
    )
    def test_what_is_no_reference_is_refused(self, change: Mapping[str, Any], message: str) -> None:
        """Before anything is read by it."""
        with pytest.raises(FormatError) as caught:
            Reference.from_payload({**self.reference.to_payload(), **change})
        assert message in str(caught.value)

    @pytest.mark.parametrize("value", [None, [], "x", 5])
    def test_what_is_no_object_is_refused(self, value: Any) -> None:
        """XCom holds anything."""
        with pytest.raises(FormatError, match=f"must be a mapping, got {type(value).__name__}"):
            Reference.from_payload(value)

    @settings(max_examples=1000, deadline=None)
    @given(st.data())
    def test_fuzzed_payloads_are_refused_or_safe(self, data: st.DataObject) -> None:
        """FormatError and nothing else; what is taken names a place below the root."""
        payload = dict(self.reference.to_payload())
        for name in data.draw(st.lists(st.sampled_from(sorted(payload)), max_size=3)):
            payload[name] = data.draw(st.one_of(json_values, noise))
        try:
            reference = Reference.from_payload(payload)
        except FormatError:
            return
        assert check_key(reference.target)
        assert "/" not in reference.data
        assert reference.size >= 0
        assert Reference.from_payload(reference.to_payload()) == reference


def test_a_key_is_never_longer_than_every_storage_takes() -> None:
    """Long ids are cut; 1,024 bytes are S3's limit, a prefix of the root's included."""
    target = Target(
        dag_id="é" * 250,
        task_id="日" * 250,
        slot=Slot(partition_key="x" * 5000),
        map_index=10**6,
        name="n" * 100,
    )
    assert len(target.key) <= 3 * codec.LONGEST + len("map=1000000") + 100 + 4
