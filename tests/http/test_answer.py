"""What an answer says, and what a wait says of it in the end."""

from typing import Any

import pytest

from fileflow_async.errors import ConfigError, FormatError
from fileflow_async.http.answer import Answer
from fileflow_async.http.auth import identity_of
from fileflow_async.http.ended import HttpEnded
from fileflow_async.http.request import Request
from fileflow_async.http.settings import HttpSettings
from fileflow_async.outcome import Outcome


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", "é".encode(), "é"),
        ("text/plain; charset=latin-1", b"\xe9", "é"),
        ('text/plain; x=y; Charset="UTF-16LE"', "é".encode("utf-16le"), "é"),
        ("text/plain; charset=no-such", "é".encode(), "é"),
        ("", b"\xff", "\ufffd"),
    ],
)
def test_a_body_is_text_as_its_head_says(kind: str, body: bytes, text: str) -> None:
    """By its charset; what is none of it is replaced, and never an error."""
    answer = Answer(url="u", status=200, headers={"Content-Type": kind}, body=body)
    assert answer.text == text
    assert answer.content_type == kind.partition(";")[0]


PAYLOAD = HttpEnded(outcome=Outcome.READY, url="u", why="HTTP 200", state="200", status=200).to_payload()


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "late"},
        {"status": "200"},
        {"size": True},
        {"sha256": 5},
        {"headers": 7},
        {"reference": {"target": "a"}},
    ],
    ids=str,
)
def test_an_event_that_is_none_is_an_error(wrong: dict[str, Any]) -> None:
    """Each field is looked at; what is whole comes back as it was."""
    assert HttpEnded.from_payload(PAYLOAD).to_payload() == PAYLOAD
    with pytest.raises(FormatError, match="is not the event of an HTTP wait"):
        HttpEnded.from_payload({**PAYLOAD, **wrong})


def test_headers_give_way_when_an_event_would_be_too_large() -> None:
    """What is said in the end is worth more than they are."""
    headers = {f"x-{number}": "x" * 300 for number in range(100)}
    ended = HttpEnded(outcome=Outcome.READY, url="u", why="HTTP 200", state="200", headers=headers)
    payload = ended.to_payload()
    assert 20 < len(payload["headers"]) < 60
    assert len(str(payload)) < 16_500


def test_a_login_with_a_colon_cannot_be_basic() -> None:
    """The server would take what is behind it for the password."""
    with pytest.raises(ConfigError, match="a login with a colon") as caught:
        identity_of(HttpSettings(auth="basic", login="a:b", password="s3cret"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": 5}, "data must be text, bytes or a mapping, got int"),
        ({"data": "\ud800"}, "data is not text that can be sent"),
        ({"endpoint": "http://[1/"}, "endpoint is not a URL that can be read"),
        ({"endpoint": "http://h:99999/"}, "endpoint is not a URL that can be read"),
    ],
    ids=["number", "half a character", "bracket", "port"],
)
def test_what_cannot_be_sent_is_an_error(arguments: dict[str, Any], message: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError) as caught:
        Request.of(**arguments)
    assert str(caught.value) == message
