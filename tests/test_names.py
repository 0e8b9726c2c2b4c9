"""What an output can be called, and what cannot."""

import pytest

from fileflow_async.errors import TargetNameError
from fileflow_async.names import check_name, check_names, is_name


@pytest.mark.parametrize("name", ["a", "_", "0", "a.b-c_D", "x" * 100])
def test_a_good_name_is_taken(name: str) -> None:
    """Letters, digits and a little more."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "a/b", "a b", "é", "a\n", "a=b", "x" * 101, None])
def test_a_bad_name_is_refused(name: str) -> None:
    """Before anything is stored under it."""
    with pytest.raises(TargetNameError):
        check_name(name)


def test_a_set_of_none_is_refused() -> None:
    """Without names it would be all of them, which nobody has said."""
    with pytest.raises(TargetNameError, match="at least one name, or '\\*' for all of them"):
        check_names([])


def test_the_folders_of_mapped_instances_are_no_outputs() -> None:
    """They lie beside them."""
    assert [is_name(text) for text in ("a", "map=0", ".feed", "")] == [True, False, False, False]
