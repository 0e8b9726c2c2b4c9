"""Any id is a safe path component, and back."""

import logging
import re
import string
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import example, given, settings, strategies as st

from fileflow_async import codec
from fileflow_async.errors import TargetNameError
from tests.crash.tally import how_many

UNTOUCHED = string.ascii_letters + string.digits + "_=,@+:.-"
IDS = st.one_of(
    st.text(min_size=1, max_size=200),
    st.text(alphabet=UNTOUCHED, min_size=1, max_size=200),
    st.text(alphabet=UNTOUCHED + "%~/\\ \n\0é日", min_size=1, max_size=60),
    # Around the cut: escapes are three bytes, so that it falls into, before and behind one.
    st.builds(
        lambda head, unsafe, tail: "a" * head + unsafe + "b" * tail,
        st.integers(100, 152),
        st.sampled_from(["", "/", "é", "日", "%", "~", "//", "~~~"]),
        st.integers(0, 60),
    ),
)
COMPONENT = re.compile(r"(?:[A-Za-z0-9_=,@+:]|%[0-9A-F]{2})(?:[A-Za-z0-9_=,@+:.-]|%[0-9A-F]{2})*")
CUT = re.compile(COMPONENT.pattern + r"~[0-9a-f]{24}")

seen: dict[str, str] = {}  # of all examples: no two ids ever meet


@pytest.mark.timeout(1800)
@settings(max_examples=how_many(sample=200, normal=1000, long=5000), deadline=None)
@example(
    [".", "..", ".hidden", "-rf", "a\n", "/etc/passwd", "\0", "\x7f", "%2E", "~", "a" * 150, "a" * 151, "Ⅷ"]
)
@example(["a" * 119 + "/" + "b" * 40, "a" * 118 + "/" + "b" * 40, "manual__2026-11-20T00:00:00+00:00"])
@given(st.lists(IDS, min_size=20, max_size=20))
def test_every_id_becomes_a_safe_component_of_its_own(texts: list[str]) -> None:
    """Of thousands none leaves the folder, hides, confuses a shell, or meets another; and all come back."""
    for text in texts:
        _check(text)


def _check(text: str) -> None:
    component = codec.encode(text)
    assert len(component.encode("ascii")) <= codec.LONGEST == 150
    assert component not in (".", "..")
    assert component[0] not in ".-"
    assert "/" not in component
    assert not any(unicodedata.category(char).startswith("C") for char in component)
    assert seen.setdefault(component, text) == text
    if "~" in component:
        assert CUT.fullmatch(component)
        assert len(text.encode()) > codec.LONGEST // 3
        with pytest.raises(TargetNameError, match="too long to be kept whole"):
            codec.decode(component)
    else:
        assert COMPONENT.fullmatch(component)
        assert codec.decode(component) == text
    if set(text) <= set(UNTOUCHED) and text[0] not in ".-" and len(text) <= codec.LONGEST:
        assert component == text


@settings(max_examples=300, deadline=None)
@example(["%2e", "%41", ".a", "-a", "%", "a%2", "%FF", "%ED%A0%80", "", "a\n", "é", "a" * 151, "~" * 24])
@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.text(alphabet="%0123456789ABCDEFabcdef.-~", max_size=12),
            IDS.map(codec.encode).map(lambda component: component.replace("%2", "%3", 1)),
            IDS.map(lambda text: codec.encode(text)[1:]),
        ),
        min_size=15,
        max_size=15,
    )
)
def test_decode_refuses_whatever_encode_never_makes(components: list[str]) -> None:
    """So that a place has one name only, and a foreign folder is nobody's."""
    for component in components:
        with suppress(TargetNameError):
            assert codec.encode(codec.decode(component)) == component


@pytest.mark.parametrize(
    ("component", "message"),
    [
        ("", "'' is not an encoded id"),
        (".", "'.' is not an encoded id"),
        ("%2e", "'%2e' is not an encoded id"),
        ("a%4", "'a%4' is not an encoded id"),
        ("%FF", "'%FF' is not an encoded id"),
        ("a~b", "'a~b' stands for an id that was too long to be kept whole"),
        (None, "an encoded id must be a string, got NoneType"),
    ],
)
def test_a_refused_component_is_named(component: str, message: str) -> None:
    """With the reason."""
    with pytest.raises(TargetNameError) as caught:
        codec.decode(component)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ("..", "%2E."),
        (".", "%2E"),
        ("-rf", "%2Drf"),
        ("a-b.c", "a-b.c"),
        ("a/b", "a%2Fb"),
        ("a\n", "a%0A"),
        ("%2E", "%252E"),
        ("~", "%7E"),
        ("日", "%E6%97%A5"),
        ("key=eu west", "key=eu%20west"),
        ("manual__2026-11-20T00:00:00+00:00", "manual__2026-11-20T00:00:00+00:00"),
    ],
)
def test_what_people_see(text: str, component: str) -> None:
    """Airflow's own ids stay readable."""
    assert codec.encode(text) == component


@pytest.mark.parametrize(("head", "kept"), [(117, 120), (118, 118), (119, 119), (120, 120)])
def test_the_cut_never_goes_through_an_escape(head: int, kept: int) -> None:
    """`%2F` is in the head whole, or not at all."""
    component = codec.encode("a" * head + "/" + "b" * 60)
    assert component.index("~") == kept
    assert len(component) == kept + 25


def test_150_bytes_are_kept_and_151_are_cut() -> None:
    """The limit is on what is written, not on what was given."""
    assert codec.encode("a" * 150) == "a" * 150
    assert codec.encode("a" * 151).startswith("a" * 120 + "~")
    assert codec.encode("é" * 25) == "%C3%A9" * 25
    assert codec.encode("é" * 26).startswith("%C3%A9" * 20 + "~")


def test_a_control_character_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """It works, but hardly anybody means it."""
    with caplog.at_level(logging.WARNING):
        codec.encode("warned\n", "task_id")
        codec.encode("warned\x7f", "task_id")
        codec.encode("warned not", "task_id")
    assert caplog.messages == [
        r"task_id 'warned\n' contains a control character",
        r"task_id 'warned\x7f' contains a control character",
    ]


@pytest.mark.parametrize("value", [None, 5, b"a", ["a"], {}])
def test_what_is_no_text_is_refused(value: str) -> None:
    """Whatever it is: hashable or not."""
    with pytest.raises(TargetNameError, match=f"^dag_id must be a string, got {type(value).__name__}$"):
        codec.encode(value, "dag_id")
