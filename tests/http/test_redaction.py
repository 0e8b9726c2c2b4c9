"""Texts without secrets."""

import base64
from urllib.parse import quote, quote_plus

import pytest

from fileflow_async.http.redaction import (
    Redactor,
    is_secret_header,
    is_secret_parameter,
    shown_url,
)

SECRET = "a b/c+d&é"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_hidden_however_it_is_written(written: str) -> None:
    """In a URL, a form or a header; what is around it stays."""
    assert Redactor([SECRET, None, ""]).text(f"<{written}> ok") == "<***> ok"


def test_what_is_too_short_to_be_a_secret_stays() -> None:
    """Hiding every `me` would make a text unreadable, and guards nothing."""
    assert Redactor(["me", "abc"]).text("some abc") == "some abc"
    assert Redactor([]).text("some abc") == "some abc"
    assert "abcd" not in repr(Redactor(["abcd"]))


def test_the_longer_of_two_secrets_goes_first() -> None:
    """Else its end would be left."""
    assert Redactor(["secret", "secret-and-more"]).text("secret-and-more") == "***"


def test_a_secret_is_hidden_in_the_path_of_a_url() -> None:
    """Some servers want it there."""
    assert Redactor(["secret"]).url("https://h/secret/x?a=b") == "https://h/***/x?a=***"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@h:1/a/b?c=d&e&f=#g", "https://h:1/a/b?c=***&***&f=***"),
        ("a/b?c=d", "a/b?c=***"),
        ("", ""),
        ("http://[", "***"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret_in_it(url: str, shown: str) -> None:
    """Names of parameters help, values are nobody's business."""
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("name", "header", "parameter"),
    [
        ("Authorization", True, True),
        ("Proxy-Authorization", True, False),
        ("X-Api-Key", True, True),
        ("api_key", True, True),
        ("X-Auth-Token", True, False),
        ("access_token", True, True),
        ("client_secret", True, True),
        ("X-Amz-Signature", True, True),
        ("sig", False, True),
        ("Cookie", True, False),
        ("page_token", True, False),
        ("cursor", False, False),
        ("If-None-Match", False, False),
        ("Accept", False, False),
        ("key", False, False),
        ("monkey", False, False),
    ],
)
def test_names_tell_what_is_secret(name: str, header: bool, parameter: bool) -> None:
    """Of parameters only whole names: the token of a page is no secret."""
    assert (is_secret_header(name), is_secret_parameter(name)) == (header, parameter)
