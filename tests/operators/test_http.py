"""Downloads: what comes is committed only when all of it has come."""

import base64
import gzip
import hashlib
import itertools
import json
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from airflow.providers.common.compat.sdk import AirflowSkipException

from fileflow_async.errors import (
    ConfigError,
    EndpointAnswerError,
    EndpointRefusedError,
    EndpointUnavailableError,
    TargetEmptyError,
)
from fileflow_async.http.download import ChangedError
from fileflow_async.http.pages import Cursor, NextLink, PageNumber
from fileflow_async.operators import http
from fileflow_async.operators.http import HttpToTarget
from fileflow_async.target import Reference
from tests.airflow_context import FakeRun
from tests.conftest import ImpatientClock
from tests.http_server import Handler, HttpServer, connect, redirects, says, writes

pytestmark = pytest.mark.usefixtures("root", "dag")

SECRET = "what-nobody-may-see"
DATA = random.Random(7).randbytes(300_000)
NUMBERS = itertools.count()  # no two tasks of a DAG are called alike
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> ImpatientClock:
    """Nobody sleeps between two tries."""
    clock = ImpatientClock()
    monkeypatch.setattr(http, "_CLOCK", clock)
    return clock


def task(endpoint: str, **arguments: Any) -> HttpToTarget:
    number = next(NUMBERS)
    return HttpToTarget(
        **{"task_id": f"bring{number}", "http_conn_id": None, "endpoint": endpoint, **arguments}
    )


def brought(run: FakeRun, root: Path, operator: HttpToTarget) -> bytes:
    """Run a task, and return what it has committed."""
    reference = Reference.from_payload(operator.execute(run.context(operator.task_id)))
    data = (root / reference.target / reference.data).read_bytes()
    assert hashlib.sha256(data).hexdigest() == reference.sha256
    return data


def nothing_is_published(root: Path) -> bool:
    return not list(root.rglob("*.ok"))


# One body.


def test_a_body_becomes_a_target(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Byte by byte, with what is known of it; the reference is handed on."""
    url = http_server.on("/a", says(200, DATA))
    operator = task(url, format="parquet", checksum=f"sha256:{SHA256}")
    payload = operator.execute(run.context(operator.task_id))
    assert (payload["size"], payload["sha256"], payload["format"]) == (len(DATA), SHA256, "parquet")
    assert run.xcoms[operator.task_id, -1, "fileflow"] == {"output": payload}
    assert http_server.seen["/a"][0].headers["Accept-Encoding"] == "identity"


def breaking(
    data: bytes,
    *cuts: int,
    tag: str | None = '"1"',
    ranges: bool = True,
    more: Mapping[str, str] | None = None,
) -> Handler:
    """Serve a file whose connection breaks at these bytes, one after another."""
    left = list(cuts)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        start = 0
        wanted = request.headers.get("Range")
        is_same = tag is not None and request.headers.get("If-Range") == tag
        headers = dict(more or {}) | ({"ETag": tag} if tag else {})
        if wanted and ranges and is_same:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        response.content_length = len(data) - start
        await response.prepare(request)
        if left and (cut := left.pop(0)) >= start:
            await response.write(data[start:cut])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(data[start:])
        return response

    return handler


@pytest.mark.parametrize("cuts", [(1,), (100_000,), (10, 10, 200_000), (299_999,), (0, 50_000)], ids=str)
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_a_download_goes_on_where_it_broke(
    run: FakeRun, root: Path, http_server: HttpServer, cuts: tuple[int, ...], ranges: bool
) -> None:
    """With a range, where the server knows them; else what is known is left out of the same version."""
    url = http_server.on("/a", breaking(DATA, *cuts, ranges=ranges))
    assert brought(run, root, task(url, checksum=f"sha256:{SHA256}")) == DATA
    asked = [(seen.headers.get("Range"), seen.headers.get("If-Range")) for seen in http_server.seen["/a"]]
    resumed = [(f"bytes={cut}-", '"1"') for cut in cuts if cut]
    assert asked[0] == (None, None)
    assert asked[-1] in resumed
    assert len(asked) <= len(cuts) + 1


def test_progress_makes_patience_new(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Twenty breaks are fine when something came each time; what counts are those in a row."""
    cuts = [10_000 * number for number in range(1, 21)]
    url = http_server.on("/a", breaking(DATA, *cuts))
    assert brought(run, root, task(url, retry_limit=1)) == DATA


@pytest.mark.parametrize(
    ("first", "then", "error"),
    [
        ({"tag": '"1"'}, {"tag": '"2"'}, ChangedError),
        ({"tag": '"1"'}, {"tag": None}, ChangedError),
        ({"tag": 'W/"1"'}, {"tag": 'W/"1"'}, EndpointUnavailableError),
        ({"tag": None}, {"tag": None}, EndpointUnavailableError),
    ],
    ids=str,
)
def test_what_may_be_another_file_is_not_put_behind_it(
    run: FakeRun, root: Path, http_server: HttpServer, first: Any, then: Any, error: type[Exception]
) -> None:
    """The halves of two files are no file: the task fails, and its retry begins anew."""
    url = http_server.on("/a", breaking(DATA, 1000, **first), breaking(DATA[::-1], **then))
    with pytest.raises(error):
        brought(run, root, task(url))
    assert nothing_is_published(root)


def test_a_part_that_was_not_asked_for_is_refused(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Whoever sends the wrong bytes is not to be believed about the others."""
    wrong = says(206, DATA[5:], {"ETag": '"1"', "Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"})
    for handlers in ([wrong], [breaking(DATA, 1000), wrong]):
        url = http_server.on("/a", *handlers)
        with pytest.raises(EndpointAnswerError, match=r"nobody asked for a part|another part of it"):
            brought(run, root, task(url))
    assert nothing_is_published(root)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (f"bytes 1000-{len(DATA) - 1}/{len(DATA) + 1}", "another part of it came"),
        ("bytes 1000-1999/*", f"2000 bytes came of {len(DATA)}"),
    ],
    ids=["another length", "too little"],
)
def test_a_part_that_does_not_make_it_whole_is_refused(
    run: FakeRun, root: Path, http_server: HttpServer, part: str, words: str
) -> None:
    """The first answer has said how much there is."""
    rest = says(206, DATA[1000:2000], {"ETag": '"1"', "Content-Range": part})
    url = http_server.on("/a", breaking(DATA, 1000), rest)
    with pytest.raises(EndpointAnswerError, match=words):
        brought(run, root, task(url))
    assert nothing_is_published(root)


@pytest.mark.parametrize("what", ["a post", "packed"])
def test_what_cannot_go_on_is_not_asked_for_again(
    run: FakeRun, root: Path, http_server: HttpServer, what: str
) -> None:
    """A POST may do something twice; of what is packed nobody knows where it broke."""
    packed = breaking(gzip.compress(DATA), 200_000, more={"Content-Encoding": "gzip"})
    url = http_server.on("/a", packed if what == "packed" else breaking(DATA, 1000))
    with pytest.raises(EndpointUnavailableError):
        brought(run, root, task(url, method="GET" if what == "packed" else "POST"))
    assert http_server.count("/a") == 1
    assert nothing_is_published(root)


def test_what_never_gets_whole_fails_in_the_end(
    run: FakeRun, root: Path, http_server: HttpServer, clock: ImpatientClock
) -> None:
    """After as many retries as there are, each later than the one before."""
    url = http_server.on("/a", writes(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"))
    with pytest.raises(EndpointUnavailableError, match="the body broke off"):
        brought(run, root, task(url, retry_limit=4))
    assert http_server.count("/a") == 5
    assert all(low <= slept <= 2 * low for slept, low in zip(clock.slept, (0.5, 1, 2, 4), strict=True))
    assert clock.slept != [1.0, 2.0, 4.0, 8.0]  # those who failed together do not come back together
    assert nothing_is_published(root)


def test_a_server_that_asks_for_a_pause_gets_it(
    run: FakeRun, root: Path, http_server: HttpServer, clock: ImpatientClock
) -> None:
    """Unless it is longer than a slot should be held."""
    url = http_server.on("/a", says(503, headers={"Retry-After": "77"}), says(429), says(200, b"x"))
    assert brought(run, root, task(url)) == b"x"
    assert (clock.slept[0], len(clock.slept)) == (77.0, 2)
    url = http_server.on("/b", says(503, headers={"Retry-After": "1000"}))
    with pytest.raises(EndpointUnavailableError):
        brought(run, root, task(url))
    assert http_server.count("/b") == 1


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_what_is_refused_is_not_tried_again(
    run: FakeRun, root: Path, http_server: HttpServer, status: int
) -> None:
    """It will be refused again."""
    url = http_server.on("/a", says(status, "no"))
    with pytest.raises(EndpointRefusedError, match=f"GET {url}: HTTP {status}"):
        brought(run, root, task(url))
    assert http_server.count("/a") == 1


def test_a_post_is_sent_again_only_where_nothing_can_have_happened(
    run: FakeRun, root: Path, http_server: HttpServer
) -> None:
    """A 500 or a connection that closes may have made something; a 429 has not."""
    for path, handler in (("/a", says(500)), ("/c", writes())):
        url = http_server.on(path, handler)
        with pytest.raises(EndpointUnavailableError):
            brought(run, root, task(url, method="POST", data="x"))
        assert http_server.count(path) == 1
    url = http_server.on("/b", says(429), says(200, b"x"))
    assert brought(run, root, task(url, method="POST", json={"a": 1})) == b"x"


# Whether it is what it should be.


def header(name: str, algorithm: str, data: bytes = DATA, *, structured: bool = True) -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(algorithm.replace("-", ""), data).digest()).decode()
    return {name: f"{algorithm}=:{digest}:" if structured else f"{algorithm.upper()}={digest}"}


HEADERS: list[Callable[[bytes], dict[str, str]]] = [
    lambda data: header("Repr-Digest", "sha-256", data),
    lambda data: header("Content-Digest", "sha-512", data),
    lambda data: header("Digest", "sha-256", data, structured=False),
    lambda data: {
        "Content-MD5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    },
    lambda data: {"Repr-Digest": "md5=:xx:, " + header("Repr-Digest", "sha-256", data)["Repr-Digest"]},
]


@pytest.mark.parametrize("make", HEADERS, ids=["repr", "content", "old", "md5", "several"])
def test_a_digest_of_the_server_is_checked(
    run: FakeRun, root: Path, http_server: HttpServer, make: Callable[[bytes], dict[str, str]]
) -> None:
    """Over all that came, in however many pieces."""
    good = http_server.on("/good", breaking(DATA, 100_000, more=make(DATA)))
    assert brought(run, root, task(good)) == DATA
    for path in root.rglob("*.ok"):
        path.unlink()
    bad = http_server.on("/bad", says(200, DATA[:-1] + b"x", make(DATA)))
    with pytest.raises(EndpointAnswerError, match=r"is [0-9a-f]+, expected [0-9a-f]+ by the header"):
        brought(run, root, task(bad))
    assert nothing_is_published(root)


def test_a_checksum_of_the_author_is_checked(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Of what is stored; nothing is published when it is another."""
    url = http_server.on("/a", says(200, DATA + b"!"))
    with pytest.raises(EndpointAnswerError, match="by the argument checksum"):
        brought(run, root, task(url, checksum=f"sha256:{SHA256}"))
    assert nothing_is_published(root)


def test_what_is_sent_packed_is_stored_unpacked(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Though nobody asked for that; a digest of the server is of what it sends."""
    packed = gzip.compress(DATA)
    headers = {"Content-Encoding": "gzip", **header("Repr-Digest", "sha-256", packed)}
    url = http_server.on("/a", says(200, packed, headers))
    assert brought(run, root, task(url, checksum=f"sha256:{SHA256}")) == DATA


def test_more_than_is_allowed_is_refused(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Whatever its length says, and whatever it unpacks to."""
    for path, body, headers in (
        ("/a", DATA, {}),
        ("/b", gzip.compress(bytes(10**7)), {"Content-Encoding": "gzip"}),
    ):
        with pytest.raises(EndpointAnswerError, match="larger than 100000 bytes"):
            brought(run, root, task(http_server.on(path, says(200, body, headers)), max_size=100_000))
    url = http_server.on("/c", breaking(DATA, 200_000))
    with pytest.raises(EndpointAnswerError, match="larger than"):  # all of it counts, however it came
        brought(run, root, task(url, max_size=250_000))
    assert nothing_is_published(root)


@pytest.mark.parametrize("handler", [says(200, b""), says(204)], ids=["empty", "204"])
def test_nothing_is_what_the_author_says_it_is(
    run: FakeRun, root: Path, http_server: HttpServer, handler: Handler
) -> None:
    """A value, a failure or a reason to skip."""
    url = http_server.on("/a", handler)
    with pytest.raises(TargetEmptyError, match="nothing came"):
        brought(run, root, task(url, on_empty="fail"))
    with pytest.raises(AirflowSkipException, match="nothing came"):
        brought(run, root, task(url, on_empty="skip"))
    assert nothing_is_published(root)
    assert brought(run, root, task(url)) == b""


# Pages.


def page(rows: Any, status: int = 200, **headers: str) -> Handler:
    return says(status, json.dumps(rows), headers)


def rows_of(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.decode().splitlines()]


def test_pages_follow_the_link_in_the_head(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """As GitHub has it; the link holds all of the next query."""
    link = f'<{http_server.url}/a?page=2>; rel="next", <{http_server.url}/z>; rel=last'
    http_server.on("/a", page([{"n": 1}, {"n": "é"}], Link=link), page([{"n": 3}]))
    operator = task(f"{http_server.url}/a", pages=NextLink(), request_params={"page": 1})
    assert rows_of(brought(run, root, operator)) == [{"n": 1}, {"n": "é"}, {"n": 3}]
    assert [seen.query for seen in http_server.seen["/a"]] == ["page=1", "page=2"]
    record = json.loads(next(root.rglob("*.ok")).read_text())
    assert (record["rows"], record["format"]) == (3, "jsonl")


def test_pages_follow_the_link_in_the_body(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Absolute or relative; null ends them."""
    http_server.on("/v1/a", page({"data": [1], "next": "b?c=2"}))
    http_server.on("/v1/b", page({"data": [2], "next": f"{http_server.url}/v1/c"}))
    http_server.on("/v1/c", page({"data": [3], "next": None}))
    pages = NextLink(items="$.data", path="$.next")
    assert brought(run, root, task(f"{http_server.url}/v1/a", pages=pages)) == b"1\n2\n3\n"


def test_pages_follow_a_cursor(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Beside what else is asked; a page in between may be empty."""
    http_server.on(
        "/a",
        page({"rows": [1, 2], "meta": {"after": "x=/&"}}),
        page({"rows": [], "meta": {"after": 7}}),
        page({"rows": [3], "meta": {}}),
    )
    pages = Cursor(path="$.meta.after", parameter="after", items="$.rows")
    operator = task(f"{http_server.url}/a", pages=pages, request_params={"size": 2})
    assert brought(run, root, operator) == b"1\n2\n3\n"
    assert [seen.query for seen in http_server.seen["/a"]] == [
        "size=2",
        "size=2&after=x%3D/%26",
        "size=2&after=7",
    ]


def test_pages_may_be_counted(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """Until one is empty."""
    http_server.on("/a", page([1]), page([2]), page([]))
    assert brought(run, root, task(f"{http_server.url}/a", pages=PageNumber(start=0))) == b"1\n2\n"
    assert [seen.query for seen in http_server.seen["/a"]] == ["page=0", "page=1", "page=2"]


def test_no_more_pages_are_asked_for_than_allowed(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """The one that is empty is one of them."""
    url = http_server.on("/a", page([1]), page([2]), page([]))
    with pytest.raises(EndpointAnswerError, match="more than 2 pages"):
        brought(run, root, task(url, pages=PageNumber(), max_pages=2))
    assert http_server.count("/a") == 2
    url = http_server.on("/b", page([1]), page([2]), page([]))
    assert brought(run, root, task(url, pages=PageNumber(), max_pages=3)) == b"1\n2\n"


def test_a_page_that_fails_is_asked_for_again(run: FakeRun, root: Path, http_server: HttpServer) -> None:
    """And no other."""
    http_server.on("/a", page([1]), says(503), writes(abort=True), page([2]), page([]))
    assert brought(run, root, task(f"{http_server.url}/a", pages=PageNumber())) == b"1\n2\n"
    assert [seen.query[-1] for seen in http_server.seen["/a"]] == ["1", "2", "2", "2", "3"]


@pytest.mark.parametrize(
    ("handlers", "pages", "words"),
    [
        ([page({"r": [1], "c": "a"})], Cursor(path="$.c", items="$.r"), "page 2 leads back to a page"),
        ([page([1], Link='</a>; rel="next"')], NextLink(), "page 1 leads back to a page"),
        ([page([1])], PageNumber(), "there are more than 5 pages"),
        ([page({"r": 1})], NextLink(items="$.r"), r"page 1 has no list at \$\.r"),
        ([page({"r": 1})], NextLink(items="$.x"), r"page 1 has nothing at \$\.x"),
        ([says(200, "<html>")], NextLink(), "page 1: the body is not JSON"),
        ([says(200, "[NaN]")], NextLink(), "page 1 has a value that JSON has not"),
        (
            [page({"r": [1], "n": 7})],
            NextLink(items="$.r", path="$.n"),
            "the link to the next page is no address",
        ),
        ([page({"r": [1], "n": "ftp://h"})], NextLink(items="$.r", path="$.n"), "is no address"),
        ([page({"r": [1], "c": [7]})], Cursor(path="$.c", items="$.r"), "neither text nor a number"),
        ([page([1] * 50)], NextLink(), "larger than it may be|not JSON"),
    ],
    ids=range(11),
)
def test_pages_that_are_none_publish_nothing(
    run: FakeRun, root: Path, http_server: HttpServer, handlers: list[Handler], pages: Any, words: str
) -> None:
    """Not even those that came before."""
    url = http_server.on("/a", *handlers)
    with pytest.raises(EndpointAnswerError, match=words):
        brought(run, root, task(url, pages=pages, max_pages=5, max_size=100))
    assert nothing_is_published(root)


def test_a_next_page_of_another_host_gets_no_credentials(
    run: FakeRun,
    root: Path,
    http_server: HttpServer,
    other_server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not even asked, unless the connection names it."""
    http_server.on("/a", page([1], Link=f'<{other_server.url}/b>; rel="next"'))
    other_server.on("/b", page([2]))
    fields: dict[str, Any] = {"host": http_server.url, "login": "me", "password": SECRET}
    connect(monkeypatch, "api", **fields)
    with pytest.raises(EndpointRefusedError, match="which the connection does not allow"):
        brought(run, root, task("a", http_conn_id="api", pages=NextLink()))
    assert other_server.count("/b") == 0
    connect(monkeypatch, "api", **fields, extra={"redirect_hosts": [f"127.0.0.1:{other_server.port}"]})
    assert brought(run, root, task("a", http_conn_id="api", pages=NextLink())) == b"1\n2\n"
    assert "Authorization" in http_server.seen["/a"][-1].headers
    assert "Authorization" not in other_server.seen["/b"][0].headers


def test_no_records_are_what_the_author_says_they_are(
    run: FakeRun, root: Path, http_server: HttpServer
) -> None:
    """As no bytes are."""
    url = http_server.on("/a", page([]))
    with pytest.raises(TargetEmptyError):
        brought(run, root, task(url, pages=NextLink(), on_empty="fail"))
    assert brought(run, root, task(url, pages=NextLink())) == b""


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_empty": "wait"}, "on_empty must be one of 'accept', 'fail', 'skip', got 'wait'"),
        ({"max_pages": 0}, "max_pages must be an integer >= 1, got 0"),
        ({"max_size": -1}, "max_size must be an integer >= 0, got -1"),
        ({"retry_limit": -1}, "retry_limit must be an integer from 0 to 1000, got -1"),
        ({"checksum": "sha256:ab"}, "checksum must be such as 'sha256:' with 64 digits, got 'sha256:ab'"),
        ({"pages": NextLink(), "format": "csv"}, "pages become jsonl, got the format 'csv'"),
        (
            {"pages": NextLink(), "checksum": f"sha256:{SHA256}"},
            "checksum is that of one body; pages are several",
        ),
        ({"pages": NextLink(items="x")}, "a JSON path must begin with '$', such as $.jobs[0].state; got 'x'"),
        ({"method": ""}, "method must be a word such as GET, got ''"),
        ({"data": "a", "json": "b"}, "both data and json given; a request has one body"),
        ({"read_timeout": 0}, "read_timeout must be a positive number of seconds, got 0"),
    ],
    ids=str,
)
def test_a_wrong_argument_fails_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    """Not when the task runs."""
    with pytest.raises(ConfigError) as caught:
        task("http://h/a", **arguments)
    assert str(caught.value) == message


def test_credentials_are_for_the_connection() -> None:
    """The error says where they belong, and does not repeat them."""
    with pytest.raises(ConfigError, match="'Authorization' looks like a credential") as caught:
        task("http://h/a", headers={"Authorization": SECRET})
    assert SECRET not in str(caught.value)
    assert "'headers' of its extra" in caught.value.__notes__[0]


def test_templates_are_judged_when_they_are_filled_in(
    run: FakeRun, root: Path, http_server: HttpServer
) -> None:
    """Not before, when they are no URLs yet."""
    http_server.on("/2026", says(200, "x"))
    operator = task("{{ params.url }}/{{ params.year }}", request_params={"a": "{{ params.year }}"})
    operator.render_template_fields({"params": {"url": http_server.url, "year": 2026}})
    assert brought(run, root, operator) == b"x"
    assert http_server.seen["/2026"][0].query == "a=2026"
    operator = task("{{ params.url }}")
    operator.render_template_fields({"params": {"url": "http://me:pw@h/"}})
    with pytest.raises(ConfigError, match="endpoint holds credentials"):
        operator.execute(run.context(operator.task_id))


def test_redirects_are_followed_where_they_are_asked_for(
    run: FakeRun, root: Path, http_server: HttpServer
) -> None:
    """As for a look."""
    url = http_server.on("/a", redirects("/b"))
    http_server.on("/b", breaking(DATA, 1000))
    assert brought(run, root, task(url, max_redirects=1)) == DATA


def test_the_log_tells_how_far_it_is(
    run: FakeRun,
    root: Path,
    http_server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every few seconds, without the values of the query, and in the end."""
    monkeypatch.setattr(http, "_TELL", 0.0)
    url = http_server.on("/a", breaking(DATA, 150_000))
    with caplog.at_level(logging.INFO):
        assert brought(run, root, task(f"{url}?page_token={SECRET}")) == DATA
    told = caplog.text + capsys.readouterr().out
    assert f"GET {url}?page_token=***: 150.0 kB of 300.0 kB so far" in told
    assert "300.0 kB came in" in told
    assert "going on at byte 150000" in told
    assert SECRET not in told


def test_no_secret_of_the_connection_is_in_an_error_or_a_record(
    run: FakeRun,
    root: Path,
    http_server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor in the log, in XCom or in a repr."""
    extra = {"headers": {"X-Key": SECRET}, "params": {"key": SECRET}, "auth_type": "bearer"}
    connect(monkeypatch, "api", host=http_server.url, password=SECRET, extra=extra)
    http_server.on("/a", says(200, b"x", {"X-Echo": SECRET}))
    http_server.on("/b", says(403, SECRET))
    operator = task("a", http_conn_id="api")
    assert brought(run, root, operator) == b"x"
    assert http_server.seen["/a"][0].query == f"key={SECRET}"
    with pytest.raises(EndpointRefusedError) as caught:
        brought(run, root, task("b", http_conn_id="api"))
    records = "".join(path.read_text() for path in root.rglob("*") if path.suffix in (".ok", ".failed"))
    assert "HTTP 403" in records
    shown = (
        records,
        repr(run.xcoms),
        repr(operator),
        str(vars(operator)),
        repr(caught.value),
        str(caught.value),
    )
    assert SECRET not in "".join((*shown, *capsys.readouterr()))
