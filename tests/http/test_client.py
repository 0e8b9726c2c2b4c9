"""One request against a server that does all it can: what comes back, and what never leaves."""

import asyncio
import gzip
import json
import socket
import traceback
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from fileflow_async.errors import (
    ConfigError,
    EndpointAnswerError,
    EndpointError,
    EndpointRefusedError,
    EndpointUnavailableError,
)
from fileflow_async.http.answer import Answer
from fileflow_async.http.client import opened
from fileflow_async.http.faults import translated
from fileflow_async.http.request import Request
from fileflow_async.http.session import _sessions
from fileflow_async.http.settings import HttpSettings, Limits
from tests.http_server import Handler, HttpServer, never, redirects, says, writes

SECRET = "what-nobody-may-see"
QUICK = Limits(connect=2.0, read=0.3, total=2.0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
TEN = b"Content-Length: 10\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = b"Content-Encoding: gzip\r\n\r\n"


async def fetched(
    url: str, settings: HttpSettings | None = None, *, limits: Limits = QUICK, **request: Any
) -> Answer:
    async with opened(settings or HttpSettings()) as client:
        return await client.fetch(Request.of(endpoint=url, **request), limits=limits)


def test_a_request_shows_nothing_of_what_is_sent() -> None:
    """It stands in messages and in tracebacks."""
    sent: dict[str, Any] = {"params": {"a": SECRET}, "headers": {"X-A": SECRET}, "data": SECRET}
    assert repr(Request.of(endpoint=f"a/{SECRET}", **sent)) == "Request(method='GET')"


def bomb(mebibytes: int) -> bytes:
    """Return a gzip of so many mebibytes of nothing: a thousandth of its size."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packing.compress(bytes(1 << 20)) for _ in range(mebibytes)) + packing.flush()


async def test_an_answer_is_its_status_its_head_and_its_body(http_server: HttpServer) -> None:
    """Names of headers in any case, and no more of it in its text than the status."""
    url = http_server.on("/a", says(203, '{"a": 1}', {"ETag": '"7"', "Content-Type": "application/json"}))
    answer = await fetched(f"{url}?key={SECRET}", params={"b": [1, True]}, headers={"X-Trace": "t"})
    assert (answer.status, answer.json(), answer.headers["etag"], answer.size) == (203, {"a": 1}, '"7"', 8)
    (seen,) = http_server.seen["/a"]
    assert (seen.method, seen.query) == ("GET", f"key={SECRET}&b=1&b=true")
    assert (seen.headers["x-trace"], seen.headers["accept-encoding"]) == ("t", "gzip, deflate")
    assert answer.url == f"{url}?key=***&b=***&b=***"
    assert SECRET not in repr(answer)


@pytest.mark.parametrize(
    ("request_", "body", "kind"),
    [
        ({"data": "text"}, b"text", "text/plain; charset=utf-8"),
        ({"data": b"\0"}, b"\0", None),
        ({"data": {"a": "b c", "d": [1, 2]}}, b"a=b+c&d=1&d=2", "application/x-www-form-urlencoded"),
        ({"json": {"a": None}}, b'{"a": null}', "application/json"),
        ({"json": [1], "headers": {"content-type": "application/x"}}, b"[1]", "application/x"),
        ({}, b"", None),
    ],
    ids=str,
)
async def test_a_body_is_sent_as_what_it_is(
    http_server: HttpServer, request_: dict[str, Any], body: bytes, kind: str | None
) -> None:
    """With the media type that suits it, unless one is given."""
    await fetched(http_server.on("/a", says()), method="POST", **request_)
    (seen,) = http_server.seen["/a"]
    assert (seen.method, seen.body, seen.headers.get("Content-Type")) == ("POST", body, kind)


# Who we are.


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        (HttpSettings(auth="basic", login="me", password="pw"), "Basic bWU6cHc="),
        (HttpSettings(auth="bearer", password="t0ken"), "Bearer t0ken"),
        (HttpSettings(auth="tests.http.test_client.signed", login="me", password="pw"), "Signed me"),
        (HttpSettings(auth="tests.http.test_client.Pair", login="me", password="pw"), "Basic bWU6cHc="),
        (HttpSettings(headers=(("Authorization", "Own x"),)), "Own x"),
        (HttpSettings(), None),
    ],
    ids=str,
)
async def test_the_connection_says_who_we_are(
    http_server: HttpServer, settings: HttpSettings, sent: str | None
) -> None:
    """At the first request, in its head."""
    http_server.on("/a", says())
    await fetched("a", replace(settings, base=http_server.url))
    assert http_server.seen["/a"][0].headers.get("Authorization") == sent


class Pair(tuple[str, str]):
    """What several libraries call BasicAuth."""

    def __new__(cls, login: str, password: str) -> "Pair":
        return super().__new__(cls, (login, password))

    def encode(self) -> str:
        return "Basic bWU6cHc="


def signed(login: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Signed {login}"}


async def test_digest_answers_the_server_that_asks(http_server: HttpServer) -> None:
    """Where aiohttp knows how; the password itself is never sent."""
    pytest.importorskip("aiohttp.client_middleware_digest_auth")
    challenge = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'}
    http_server.on("/a", says(401, headers=challenge), says(200, "in"))
    settings = HttpSettings(base=http_server.url, auth="digest", login="me", password=SECRET)
    assert (await fetched("a", settings)).text == "in"
    first, second = http_server.seen["/a"]
    assert "Authorization" not in first.headers
    assert second.headers["Authorization"].startswith('Digest username="me"')
    assert SECRET not in second.headers["Authorization"]


def signing(login: str, password: str) -> Any:
    async def middleware(request: Any, handler: Any) -> Any:
        request.headers["Authorization"] = f"Signed {login}"
        return await handler(request)

    return middleware


async def test_an_own_way_answers_no_other_host(http_server: HttpServer, other_server: HttpServer) -> None:
    """Whatever it does to a request, it does it for the server that it was made for."""
    http_server.on("/a", redirects(other_server.on("/b", says())))
    settings = HttpSettings(
        base=http_server.url, auth="tests.http.test_client.signing", login="me", redirect_hosts=("127.0.0.1",)
    )
    await fetched("a", settings, limits=replace(QUICK, max_redirects=1))
    (first,), (away,) = http_server.seen["/a"], other_server.seen["/b"]
    assert first.headers["Authorization"] == "Signed me"
    assert "Authorization" not in away.headers


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ("tests.http.test_client.nothing", "cannot be imported: AttributeError"),
        ("tests.http.test_client.SECRET", "is a str, not a function"),
        ("tests.http.test_client.raising", "failed with RuntimeError"),
        ("tests.http.test_client.returning_none", "returned a NoneType"),
    ],
)
async def test_an_own_way_that_does_not_work_is_said_without_the_password(auth: str, message: str) -> None:
    """Whatever the function itself says."""
    with pytest.raises(ConfigError, match=message) as caught:
        await fetched("http://127.0.0.1:9/", HttpSettings(auth=auth, login="me", password=SECRET))
    assert SECRET not in str(caught.value)


def raising(login: str, password: str) -> None:
    raise RuntimeError(password)


def returning_none(login: str, password: str) -> None:
    return None


# Faults: each by the word of what to do about it.


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        pytest.param(never(), "no answer in time", id="silence"),
        pytest.param(writes(abort=True), "closed the connection|connection broke", id="reset"),
        pytest.param(writes(b"\x16\x03\x01 garbage \r\n\r\n"), "the answer is not HTTP", id="garbage"),
        pytest.param(writes(HEAD + TEN + b"12345"), "the body broke off", id="truncated"),
        pytest.param(writes(HEAD + TEN + b"12345", abort=True), "broke", id="reset in the body"),
        pytest.param(writes(HEAD + CHUNKED + b"xyz\r\ngarbage"), "broke off|not HTTP", id="bad chunks"),
        pytest.param(writes(HEAD + CHUNKED + b"5\r\nhello\r\n"), "the body broke off", id="cut chunks"),
        pytest.param(writes(HEAD + GZIP + gzip.compress(b"x" * 999)[:-9]), "in the middle of", id="cut gzip"),
    ],
)
async def test_what_may_pass_is_unavailable(http_server: HttpServer, handler: Handler, words: str) -> None:
    """To be tried again, with a message that names the URL, and nothing of its query."""
    url = http_server.on("/a", handler)
    with pytest.raises(EndpointUnavailableError, match=words) as caught:
        await fetched(f"{url}?token={SECRET}")
    assert f"GET {url}?token=***" in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_server_that_is_not_there_is_unavailable_and_untouched() -> None:
    """Nothing was sent, so that even a POST can be sent again; so too where the name is not known."""
    for url in ("http://127.0.0.1:1/", "http://no-such-host.invalid/"):
        with pytest.raises(EndpointUnavailableError, match=r"no connection|not known") as caught:
            await fetched(url)
        assert caught.value.is_untouched


async def test_a_server_that_takes_no_connection_is_waited_for_no_longer_than_said() -> None:
    """Its machine lives, but it does not: neither silence nor the total comes into it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as full:
        for _ in range(4):  # more than the system queues
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        began = asyncio.get_running_loop().time()
        with pytest.raises(EndpointUnavailableError, match=r"no answer in time|no connection"):
            await fetched(
                f"http://127.0.0.1:{server.getsockname()[1]}/", limits=Limits(connect=0.3, total=30.0)
            )
        assert asyncio.get_running_loop().time() - began < 15.0


async def test_a_body_that_drips_ends_at_the_total(http_server: HttpServer) -> None:
    """Each piece resets the timeout of reading, and none that of the whole."""
    url = http_server.on("/a", writes(HEAD + b"Content-Length: 9999\r\n\r\n", *[b"x"] * 500))
    began = asyncio.get_running_loop().time()
    with pytest.raises(EndpointUnavailableError, match=r"no whole answer in 0\.5 s"):
        await fetched(url, limits=replace(QUICK, total=0.5))
    assert asyncio.get_running_loop().time() - began < 2.0


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (writes(HEAD + b"Content-Encoding: gzip\r\n\r\nplain text"), "says that it is gzip, and is not"),
        (writes(HEAD + b"Content-Encoding: br\r\n\r\nxxxx"), "compressed as 'br', which was not asked for"),
    ],
    ids=["not gzip", "brotli"],
)
async def test_what_cannot_be_unpacked_is_a_bad_answer(
    http_server: HttpServer, handler: Handler, words: str
) -> None:
    """Asking again brings the same."""
    with pytest.raises(EndpointAnswerError, match=words):
        await fetched(http_server.on("/a", handler))


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "raw deflate"])
async def test_compressed_bodies_are_unpacked(http_server: HttpServer, encoding: str) -> None:
    """Several members of gzip too, with padding behind them; deflate with zlib's head and without."""
    text = b"text " * 50_000
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "deflate": zlib.compress(text),
        "raw deflate": raw.compress(text) + raw.flush(),
    }.get(encoding, gzip.compress(text[:100]) + gzip.compress(text[100:]) + b"\0" * 20)
    headers = {"Content-Encoding": encoding.rpartition(" ")[2]}
    assert (await fetched(http_server.on("/a", says(200, packed, headers)))).body == text


async def test_a_body_of_no_bytes_is_one(http_server: HttpServer) -> None:
    """Whatever its head says of how it is packed."""
    url = http_server.on("/a", writes(HEAD + b"Content-Length: 0\r\n" + GZIP))
    assert (await fetched(url)).body == b""


async def test_a_bomb_is_put_down_before_it_goes_off(http_server: HttpServer) -> None:
    """256 MiB in 256 kB: no more of it is unpacked than the limit, and the answer has no body."""
    url = http_server.on("/a", says(200, await asyncio.to_thread(bomb, 256), {"Content-Encoding": "gzip"}))
    await fetched(http_server.on("/small", says(200, "x")))
    tracemalloc.start()
    answer = await fetched(url, limits=replace(QUICK, total=20.0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status, answer.is_whole, answer.body, answer.size, answer.sha256) == (
        200,
        False,
        b"",
        None,
        None,
    )
    assert peak < 6 << 20
    with pytest.raises(EndpointAnswerError, match="larger than it may be"):
        answer.json()


async def test_the_status_of_a_bad_answer_counts_whatever_its_body_is(http_server: HttpServer) -> None:
    """A 403 that breaks off is a 403."""
    url = http_server.on("/a", writes(b"HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\n123"))
    answer = await fetched(url)
    assert (answer.status, answer.is_whole) == (403, False)


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("7", 7, 7), ("999999999999", 3600, 3600), ("soon", None, None), ("-5", None, None)],
)
async def test_retry_after_is_read(
    http_server: HttpServer, value: str, least: float | None, most: float | None
) -> None:
    """In seconds, an hour at most; what cannot be understood says nothing."""
    answer = await fetched(http_server.on("/a", says(503, headers={"Retry-After": value})))
    assert answer.retry_after == least == most


async def test_retry_after_may_be_a_date(http_server: HttpServer) -> None:
    """One of the past means: now."""
    url = http_server.on("/a", says(503, headers={"Retry-After": "Fri, 20 Nov 2020 00:00:00 GMT"}))
    assert (await fetched(url)).retry_after == 0.0


# Redirects.


async def test_redirects_are_answers_unless_they_are_asked_for(http_server: HttpServer) -> None:
    """A 302 is a 302."""
    url = http_server.on("/a", redirects("/b"))
    assert (await fetched(url)).status == 302
    http_server.on("/b", says(200, "b"))
    assert (await fetched(url, limits=replace(QUICK, max_redirects=1))).text == "b"


async def test_a_circle_of_redirects_ends(http_server: HttpServer) -> None:
    """After as many as are allowed."""
    url = http_server.on("/a", redirects("/a"))
    with pytest.raises(EndpointRefusedError, match="redirected more than 5 times"):
        await fetched(url, limits=replace(QUICK, max_redirects=5))
    assert http_server.count("/a") == 6


@pytest.mark.parametrize(
    ("status", "sent", "method", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "POST", "GET", b""),
        (303, "PUT", "GET", b""),
        (307, "POST", "POST", b"x"),
        (308, "PUT", "PUT", b"x"),
        (302, "HEAD", "HEAD", b""),
    ],
)
async def test_a_redirect_keeps_the_method_as_browsers_do(
    http_server: HttpServer, status: int, sent: str, method: str, body: bytes
) -> None:
    """And the body with it."""
    url = http_server.on("/a", redirects("/b", status))
    http_server.on("/b", says())
    data = None if sent == "HEAD" else "x"
    await fetched(url, method=sent, data=data, limits=replace(QUICK, max_redirects=1))
    (seen,) = http_server.seen["/b"]
    assert (seen.method, seen.body) == (method, body)
    assert ("Content-Type" in seen.headers) == bool(body)


CREDENTIALS: dict[str, Any] = {
    "auth": "basic",
    "login": "me",
    "password": SECRET,
    "headers": (("X-Api-Key", SECRET), ("X-Tenant", SECRET)),
    "params": (("key", SECRET),),
}


async def test_credentials_go_to_no_other_host(http_server: HttpServer, other_server: HttpServer) -> None:
    """Nor does any header, but for those that ask for a part; nor do they come back from there."""
    settings = HttpSettings(
        base=http_server.url, redirect_hosts=(f"127.0.0.1:{other_server.port}",), **CREDENTIALS
    )
    http_server.on("/a", redirects(other_server.on("/b", redirects(f"{http_server.url}/c"))))
    http_server.on("/c", says(200, "c"))
    settings = replace(settings, redirect_hosts=(*settings.redirect_hosts, "127.0.0.1"))
    headers = {"X-Own": SECRET, "Range": "bytes=1-"}
    answer = await fetched("a", settings, headers=headers, limits=replace(QUICK, max_redirects=5))
    assert answer.text == "c"
    (first,), (away,), (back,) = http_server.seen["/a"], other_server.seen["/b"], http_server.seen["/c"]
    assert (first.headers["X-Own"], first.headers["X-Tenant"], first.query) == (
        SECRET,
        SECRET,
        f"key={SECRET}",
    )
    for seen in (away, back):
        assert SECRET not in f"{dict(seen.headers)} {seen.query}"
        assert not {"Authorization", "X-Api-Key", "X-Tenant", "X-Own"} & set(seen.headers)
        assert seen.headers["Range"] == "bytes=1-"


async def test_another_host_must_be_named_by_the_connection(
    http_server: HttpServer, other_server: HttpServer
) -> None:
    """The same with another port is another: whoever answers there is not who was trusted."""
    http_server.on("/a", redirects(other_server.on("/b", says())))
    settings = HttpSettings(base=http_server.url)
    with pytest.raises(
        EndpointRefusedError, match=f"leads to http://127.0.0.1:{other_server.port}, which"
    ) as caught:
        await fetched("a", settings, limits=replace(QUICK, max_redirects=5))
    assert other_server.count("/b") == 0
    assert "redirect_hosts" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "location",
    ["ftp://127.0.0.1/", "file:///etc/passwd", "http://me:pw@127.0.0.1/", "http://[", "javascript:1"],
)
async def test_what_is_no_address_is_not_followed(http_server: HttpServer, location: str) -> None:
    """Nor one with credentials in it."""
    url = http_server.on("/a", redirects(location))
    settings = HttpSettings(base=http_server.url, redirect_hosts=("127.0.0.1",))
    with pytest.raises(EndpointRefusedError, match="no address of HTTP"):
        await fetched(url, settings, limits=replace(QUICK, max_redirects=5))


async def test_a_body_is_not_sent_on_to_another_host(
    http_server: HttpServer, other_server: HttpServer
) -> None:
    """It may be a credential, as that of a login is."""
    http_server.on("/a", redirects(other_server.on("/b", says()), 307))
    settings = HttpSettings(base=http_server.url, redirect_hosts=("127.0.0.1",))
    with pytest.raises(EndpointRefusedError, match="for which the body is not meant"):
        await fetched("a", settings, method="POST", data="x", limits=replace(QUICK, max_redirects=5))
    assert other_server.count("/b") == 0


async def test_an_endpoint_of_another_origin_is_refused_at_once(http_server: HttpServer) -> None:
    """A template could name any."""
    settings = HttpSettings(base=f"{http_server.url}/base", auth="basic", login="me", password=SECRET)
    with pytest.raises(EndpointRefusedError, match=r"leads to http://example\.org:80"):
        await fetched("http://example.org/x", settings)
    http_server.on("/elsewhere", says(200, "ok"))
    assert (await fetched(f"{http_server.url}/elsewhere", settings)).text == "ok"


async def test_encryption_is_not_given_up_on_the_way() -> None:
    """From https to http, whoever is named."""
    settings = HttpSettings(base="https://127.0.0.1:9", redirect_hosts=("127.0.0.1",))
    with pytest.raises(EndpointRefusedError, match="not encrypted"):
        await fetched("http://127.0.0.1:9/a", settings)


# Sessions.


async def test_those_with_the_same_settings_share_a_session(http_server: HttpServer) -> None:
    """The last to leave closes it, whichever came first; others have one of their own."""
    settings = HttpSettings(base=http_server.url)
    loop = asyncio.get_running_loop()
    async with opened(settings) as one, opened(replace(settings)) as same, opened(HttpSettings()) as other:
        assert one._session is same._session is not other._session
        client = one._session.client
        assert not client.closed
    assert client.closed
    assert _sessions[loop] == {}


async def test_a_cancelled_request_leaves_nothing(http_server: HttpServer) -> None:
    """No session, no task, no socket."""
    url = http_server.on("/a", never())
    task = asyncio.create_task(fetched(url, limits=Limits()))
    while not http_server.count("/a"):
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert _sessions[asyncio.get_running_loop()] == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cookies_are_not_kept(http_server: HttpServer) -> None:
    """What one task is given another must not send."""
    url = http_server.on("/a", says(200, headers={"Set-Cookie": f"s={SECRET}"}))
    async with opened(HttpSettings()) as client:
        for _ in range(2):
            await client.fetch(Request.of(endpoint=url), limits=QUICK)
    assert all("Cookie" not in seen.headers for seen in http_server.seen["/a"])


# Proxies.


@pytest.mark.parametrize("way", ["environment", "connection"])
async def test_a_proxy_is_used_with_its_own_credentials(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Of the connection, else of the environment; what it is for gets none of them."""
    proxy = f"http://p:{SECRET}@127.0.0.1:{http_server.port}"
    settings = HttpSettings(proxies=(("http", proxy),) if way == "connection" else ())
    if way == "environment":
        monkeypatch.setenv("http_proxy", proxy)
    http_server.on("/x", says(200, "by proxy"))
    assert (await fetched("http://example.invalid/x", settings)).text == "by proxy"
    assert http_server.seen["/x"][0].headers["Proxy-Authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "example.invalid")
    if way == "environment":
        with pytest.raises(EndpointUnavailableError):
            await fetched("http://example.invalid/x", settings)
        with pytest.raises(EndpointUnavailableError):
            await fetched("http://other.invalid/x", replace(settings, trust_env=False))


async def test_the_machine_s_netrc_is_nobody_s_password(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """As curl and Airflow's hook would take it."""
    path = tmp_path / "netrc"
    await asyncio.to_thread(path.write_text, f"machine 127.0.0.1 login me password {SECRET}")
    monkeypatch.setenv("NETRC", str(path))
    await fetched(http_server.on("/a", says()))
    assert "Authorization" not in http_server.seen["/a"][0].headers


# What is translated.


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: aiohttp.InvalidURL(f"http://{SECRET}"), ConfigError),
        (lambda: aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), EndpointRefusedError),
        (lambda: aiohttp.ClientHttpProxyError(None, (), status=407), EndpointRefusedError),  # type: ignore[arg-type]
        (lambda: aiohttp.ClientHttpProxyError(None, (), status=502), EndpointUnavailableError),  # type: ignore[arg-type]
        (lambda: aiohttp.ClientPayloadError(SECRET), EndpointUnavailableError),
        (lambda: aiohttp.ClientOSError(104, SECRET), EndpointUnavailableError),
        (lambda: aiohttp.ClientError(SECRET), EndpointUnavailableError),
        (lambda: ConnectionResetError(SECRET), EndpointUnavailableError),
    ],
)
def test_the_errors_of_a_client_become_ours(make: Callable[[], Exception], kind: type[EndpointError]) -> None:
    """None of them is chained, since their texts have URLs and what is in them."""
    with pytest.raises(kind) as caught, translated("GET http://a/"):
        raise make()
    assert str(caught.value).startswith("GET http://a/: ")
    if not isinstance(make(), aiohttp.ClientOSError):
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    """A bug is no fault of a server."""
    with pytest.raises(KeyError), translated("GET http://a/"):
        raise KeyError("a")


def test_json_that_cannot_be_parsed_is_a_bad_answer() -> None:
    """Each time that it is asked for, and the value is the same object each time."""
    good = Answer(url="u", status=200, headers={}, body=json.dumps({"a": 1}).encode())
    assert good.json() is good.json()
    for body in (b"", b"<html>", b"[" * 100_000):
        bad = Answer(url="u", status=200, headers={}, body=body)
        for _ in range(2):
            with pytest.raises(EndpointAnswerError, match="not JSON"):
                bad.json()
