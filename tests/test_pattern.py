"""Names by pattern."""

import fnmatch
import itertools

import pytest
from hypothesis import example, given, strategies as st

from fileflow_async.errors import ConfigError
from fileflow_async.pattern import Part, Pattern, finished_name, is_pattern, unfinished_names

_NAMES = st.text("abAB01.*?[]!-^\n é", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
_PATTERNS = st.text("abAB01.*?[]!-^\n é", min_size=1, max_size=8).filter(
    lambda text: text not in (".", "..", "**")
)


def pattern(text: str) -> Pattern:
    return Pattern(tuple(Part.of(part) for part in text.split("/")))


@given(_PATTERNS, _NAMES)
@example("[!a]*", "b.csv")
@example("[a-", "[a-")
@example("*", "a\nb")
def test_one_part_matches_as_fnmatch_does(text: str, name: str) -> None:
    """Case counts, on every system."""
    assert pattern(text).matches(name) == fnmatch.fnmatchcase(name, text)


@given(st.lists(_PATTERNS, min_size=1, max_size=3), st.lists(_NAMES, min_size=1, max_size=3))
def test_parts_match_one_by_one(texts: list[str], names: list[str]) -> None:
    """No wildcard stands for a slash; those of folders that hide have to be spelt out."""
    *folders, _ = names
    hidden = any(
        name.startswith(".") and is_pattern(text) and not text.startswith(".")
        for text, name in zip(texts, folders, strict=False)
    )
    expected = len(texts) == len(names) and all(map(fnmatch.fnmatchcase, names, texts))
    assert pattern("/".join(texts)).matches("/".join(names)) == (expected and not hidden)


@given(st.lists(_NAMES, min_size=1, max_size=4))
def test_a_text_without_wildcards_means_itself(names: list[str]) -> None:
    """A pattern of literal parts has one match, which it names."""
    text = "/".join(name.translate(str.maketrans("", "", "*?[")) or "x" for name in names)
    if any(part in (".", "..") for part in text.split("/")):
        return
    assert pattern(text).single == text
    assert pattern(text).matches(text)
    assert not pattern(text).matches(f"{text}x")


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("*.csv", ["a.csv", "rep[1].csv", "é.csv"], ["a.csv.gz", "a.CSV", "d/a.csv"]),
        ("rep[1].csv", ["rep1.csv"], ["rep[1].csv"]),
        ("rep[[]1].csv", ["rep[1].csv"], ["rep1.csv"]),
        ("a?.csv", ["ab.csv", "aé.csv"], ["a.csv", "abc.csv", "a/.csv"]),
        ("[!a]*.csv", ["b.csv"], ["a.csv", "/b.csv"]),
        ("*/a.csv", ["d/a.csv"], ["a.csv", "d/e/a.csv", ".d/a.csv", "_temporary/a.csv"]),
        (".d*/a.csv", [".d/a.csv", ".de/a.csv"], ["d/a.csv"]),
        (".d/a.csv", [".d/a.csv"], []),
        ("_temporary/*", ["_temporary/a"], []),
        ("**", ["a", "d/a", "d/e/a"], [".d/a", "d/.e/a", "d/_temporary/a"]),
        ("**/a.csv", ["a.csv", "d/a.csv", "d/e/a.csv"], ["a.csv/b", ".d/a.csv"]),
        ("d/**/a*", ["d/a", "d/e/ab", "d/e/f/a"], ["a", "e/d/a", "d/e/b"]),
        ("**/d/**", ["d/a", "x/d/y/a"], ["d", "x/a"]),
        ("**/**", ["a", "d/e/a"], []),
        ("a**b", ["ab", "axxb"], ["a/b", "ax/xb"]),
        ("dt=*/**/p-*", ["dt=1/p-0", "dt=1/h=2/p-0"], ["dt=1", "p-0"]),
    ],
)
def test_what_a_pattern_means(text: str, matching: list[str], others: list[str]) -> None:
    """The table of the documentation."""
    for path in matching:
        assert pattern(text).matches(path), path
    for path in others:
        assert not pattern(text).matches(path), path


def test_a_walk_finds_what_matching_finds() -> None:
    """A folder in which the walk is nowhere has no match below."""
    paths = ["/".join(path) for n in (1, 2, 3) for path in itertools.product(("a", "b", ".h"), repeat=n)]
    for text in ("*", "a/*", "**/b", "a/**/b", "*/*/a", "**", ".h/a"):
        walker = pattern(text)
        for path in paths:
            *folders, _ = path.split("/")
            positions = walker.start
            for folder in folders:
                positions = walker.into(positions, folder)
            if not positions:
                assert not walker.matches(path), (text, path)


@pytest.mark.parametrize("text", ["", "a//b", "/a", "a/", ".", "a/..", "./*"])
def test_a_pattern_with_two_meanings_is_refused(text: str) -> None:
    """Empty parts and dots are not matched against names, so they would never match."""
    with pytest.raises(ConfigError, match=r"must not contain '\.', '\.\.' or empty parts"):
        pattern(text)


def test_a_pattern_with_wildcards_names_no_single_path() -> None:
    """Only what is literal throughout does."""
    assert [pattern(text).single for text in ("a/*", "**", "a/[b]", "a/b")] == [None, None, None, "a/b"]


def test_deep_patterns_say_so() -> None:
    """What is listed depends on it."""
    assert [pattern(text).is_deep for text in ("**/a", "a/**", "a**b", "*/a")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("name", "finished"),
    [
        ("data.csv.part", "data.csv"),
        ("data.csv.tmp", "data.csv"),
        ("DATA.CSV.TMP", "DATA.CSV"),
        ("data.csv.filepart", "data.csv"),
        ("data.csv.crdownload", "data.csv"),
        ("data.csv~", "data.csv"),
        ("~data.csv", "data.csv"),
        ("._data.csv", "_data.csv"),
        (".nfs0001", "nfs0001"),
        (".data.csv.a8Xk2", "data.csv.a8Xk2"),
        (".data.csv.part", "data.csv"),
        ("~", ""),
        (".part", ""),
        ("data.csv", None),
        ("part", None),
        ("tmp", None),
        ("data.tmp.csv", None),
        ("a~b", None),
        ("_SUCCESS", None),
        ("department", None),
    ],
)
def test_temporary_names(name: str, finished: str | None) -> None:
    """They never count; what they may become tells a waiter that something is on its way."""
    assert finished_name(name) == finished


def test_what_a_file_may_be_called_while_it_is_written() -> None:
    """Each of them is a temporary name of that file."""
    names = unfinished_names("data.csv")
    assert "data.csv.tmp" in names
    assert {finished_name(name) for name in names} == {"data.csv"}
