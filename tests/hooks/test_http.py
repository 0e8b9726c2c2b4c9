"""Connections of type `http`, and the hook that asks through them."""

import asyncio
import base64
import json
import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fileflow_async.errors import (
    ConfigError,
    EndpointAnswerError,
    EndpointRefusedError,
    EndpointUnavailableError,
)
from fileflow_async.hooks import http_extra
from fileflow_async.hooks.connection import ConnectionDetails
from fileflow_async.hooks.http import HttpAsyncHook
from fileflow_async.hooks.http_extra import settings_of
from fileflow_async.http.settings import HttpSettings
from tests.hooks.conftest import AsyncComms, SyncComms
from tests.http_server import HttpServer, connect, never, redirects, says

SECRET = "s3cret-planted"


def settings(*, conn_type: str = "http", **fields: Any) -> HttpSettings:
    return settings_of(ConnectionDetails(conn_id="api", conn_type=conn_type, **fields))


@pytest.mark.parametrize(
    ("fields", "endpoint", "url"),
    [
        ({"host": "h"}, "a", "http://h/a"),
        ({"host": "h", "schema": "https", "port": 8443}, "/a?b=c", "https://h:8443/a?b=c"),
        ({"host": "https://h/v1/"}, "a/b", "https://h/v1/a/b"),
        ({"host": "https://h/v1", "schema": "http", "port": 1}, "", "https://h/v1"),
        ({"host": "h/v1", "port": 81}, "/a", "http://h:81/v1/a"),
        ({"host": "h", "conn_type": "https"}, "?a=b", "https://h?a=b"),
        ({"host": "h"}, "//evil.example/a", "http://h/evil.example/a"),
        ({"host": "h"}, "@evil.example/", "http://h/@evil.example/"),
        ({"host": "h"}, "http://other/a", "http://other/a"),
        ({"host": "h"}, "a?to=http://other/", "http://h/a?to=http://other/"),
        ({}, "http://h/a", "http://h/a"),
    ],
    ids=str,
)
def test_an_endpoint_is_below_the_host(fields: dict[str, Any], endpoint: str, url: str) -> None:
    """Whatever it begins with, it cannot change the host; only a whole URL names another."""
    assert settings(**fields).url(endpoint) == url


@pytest.mark.parametrize(
    ("fields", "auth"),
    [
        ({}, None),
        ({"password": SECRET}, None),
        ({"login": "me", "password": SECRET}, "basic"),
        ({"login": "me"}, "basic"),
        ({"password": SECRET, "extra": {"auth_type": "bearer"}}, "bearer"),
        ({"login": "me", "password": SECRET, "extra": {"auth_type": "digest"}}, "digest"),
        ({"login": "me", "extra": {"auth_type": "my.auth.Signed"}}, "my.auth.Signed"),
    ],
    ids=str,
)
def test_a_login_is_basic_unless_something_else_is_said(fields: dict[str, Any], auth: str | None) -> None:
    """A connection with a login and no word on how is the usual one."""
    assert settings(**fields).auth == auth


def test_the_extra_is_understood_in_airflow_s_words() -> None:
    """Loose texts are headers; what belongs to a request is named in a warning."""
    extra = {
        "X-One": "1",
        "headers": {"X-Two": "2"},
        "params": {"key": "k", "n": 3},
        "verify": "/etc/ca.pem",
        "cert": ["/c", "/k"],
        "proxies": {"https": "http://p:1"},
        "trust_env": False,
        "redirect_hosts": ["cdn"],
    }
    found = settings(host="h", extra=extra)
    assert found.headers == (("X-One", "1"), ("X-Two", "2"))
    assert found.params == (("key", "k"), ("n", "3"))
    assert (found.verify, found.cert, found.trust_env) == ("/etc/ca.pem", ("/c", "/k"), False)
    assert (found.proxies, found.redirect_hosts) == ((("https", "http://p:1"),), ("cdn",))
    as_texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in extra.items()}
    assert settings(host="h", extra=as_texts) == found  # as in the URI of a connection
    assert settings(host="h", extra={"verify_ssl": "False", "proxy": "http://p"}).verify is False


def test_the_extra_on_the_page_is_understood() -> None:
    """Each word of it, and the page has a line for each."""
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    extra = json.loads(page.partition("```json\n")[2].partition("```")[0])
    found = settings(host="h", password=SECRET, extra=extra)
    assert (found.auth, found.redirect_hosts) == ("bearer", ("cdn.example.org",))
    assert (len(found.headers), len(found.params), len(found.proxies)) == (2, 1, 1)
    for word in extra:
        assert f"`{word}`" in page


def test_words_that_belong_to_a_request_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """They are arguments here."""
    http_extra._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert settings(host="h", extra={"timeout": "5"}).headers == ()
    assert caplog.text.count("has 'timeout' in its extra") == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conn_type": "aws"}, "connection 'api' is of type 'aws', HTTP needs 'http'"),
        ({"host": f"https://me:{SECRET}@h"}, "the host holds credentials"),
        ({"host": "ftp://h"}, "the host must begin with http:// or https:// and a host"),
        ({"host": "h", "schema": "ftp"}, "the schema must be http or https, got 'ftp'"),
        ({"extra": {"auth_type": "bearer"}}, "auth type 'bearer' needs a password, which is the token"),
        ({"extra": {"auth_type": "digest"}}, "auth type 'digest' needs a login"),
        ({"extra": {"auth_type": 7}}, "must be the dotted path of a function, got 7"),
        ({"extra": {"headers": {"A": f"{SECRET}\n"}}}, "the header 'A' must be a line of text"),
        ({"extra": {"headers": [SECRET]}}, "headers must be a mapping, got list"),
        ({"extra": {"verify": 5}}, "verify must be true, false or the path of a file"),
        ({"extra": {"cert": [SECRET, "b", "c"]}}, "cert must be a path, or that of a certificate"),
        ({"extra": {"proxies": 5}}, "proxies must be an address, or addresses by scheme"),
        ({"extra": {"trust_env": "maybe"}}, "trust_env must be true or false"),
        ({"extra": {"redirect_hosts": "cdn"}}, "redirect_hosts must be a list of texts"),
    ],
    ids=str,
)
def test_a_connection_that_contradicts_itself_is_an_error(fields: dict[str, Any], message: str) -> None:
    """Which says of which connection, and nothing of what is secret in it."""
    with pytest.raises(ConfigError, match=r"connection 'api'") as caught:
        settings(**fields)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_settings_show_no_secret() -> None:
    """They are hashable, and stand in messages."""
    found = settings(
        host="h",
        login=SECRET,
        password=SECRET,
        extra={"headers": {"a": SECRET}, "params": {"b": SECRET}, "proxies": f"http://p:{SECRET}@h"},
    )
    assert SECRET not in repr(found)
    assert hash(found) == hash(replace(found))
    hidden = found.redactor().text(f"<{SECRET}>")
    assert hidden == "<***>"


def test_each_secret_of_a_connection_is_hidden() -> None:
    """Wherever it has it from; what is no secret stays, as does a login."""
    found = settings(
        host="h",
        login="login",
        password="password1",
        extra={
            "headers": {"X-Key": "header2", "Accept": "text/plain"},
            "params": {"key": "param3"},
            "proxies": "http://p:proxy4@h",
        },
    )
    secrets = ("password1", "header2", "param3", "proxy4", "further5", base64.b64encode(b"login:password1"))
    for secret in secrets:
        text = secret.decode() if isinstance(secret, bytes) else secret
        assert found.redactor("further5").text(f"<{text}>") == "<***>"
    assert found.redactor().text("<login> <text/plain>") == "<login> <text/plain>"


def test_hosts_have_no_case() -> None:
    """As in the address of a redirect."""
    found = settings(host="h", extra={"redirect_hosts": ["CDN.example.org"]})
    assert found.allows("https://cdn.EXAMPLE.org/x")
    assert not found.allows("https://example.org/x")


# The lookup.


async def test_the_connection_is_looked_up_without_blocking(
    comms: AsyncComms, http_server: HttpServer
) -> None:
    """Asynchronously, where Airflow can; once for many."""
    comms.connections["api"] = {"conn_type": "http", "host": http_server.url, "password": SECRET}
    http_server.on("/a", says(200, "x"))
    hooks = [HttpAsyncHook("api") for _ in range(5)]
    answers = await asyncio.gather(*(hook.run("a") for hook in hooks))
    assert {answer.text for answer in answers} == {"x"}
    assert comms.asked == ["api"]


async def test_where_airflow_only_has_the_synchronous_way_that_is_taken(
    dag_test_comms: SyncComms, http_server: HttpServer
) -> None:
    """In a thread, by asgiref."""
    dag_test_comms.connections["api"] = {"conn_type": "http", "host": http_server.url}
    http_server.on("/a", says(200, "x"))
    assert (await HttpAsyncHook("api").run("a")).text == "x"


# What the hook does.


@pytest.fixture
def hook(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> HttpAsyncHook:
    """A hook for the server, which is not patient."""
    connect(monkeypatch, "api", host=http_server.url, login="me", password=SECRET)
    return HttpAsyncHook("api", retry_limit=2, retry_delay=0.01, read_timeout=0.3)


async def test_a_fault_that_may_pass_is_tried_again(hook: HttpAsyncHook, http_server: HttpServer) -> None:
    """As often as there are retries."""
    http_server.on("/a", says(503), never(), says(200, "x"))
    assert (await hook.run("a", params={"p": 1}, headers={"H": "h"})).text == "x"
    assert [(seen.query, seen.headers["H"]) for seen in http_server.seen["/a"]] == [("p=1", "h")] * 3
    http_server.on("/b", says(500))
    with pytest.raises(EndpointUnavailableError, match="HTTP 500"):
        await hook.run("b")
    assert http_server.count("/b") == 3


async def test_a_post_is_tried_again_only_where_it_has_done_nothing(
    hook: HttpAsyncHook, http_server: HttpServer
) -> None:
    """After a 500 nobody knows; a 429 is a promise."""
    http_server.on("/a", says(500), says(200))
    with pytest.raises(EndpointUnavailableError, match=r"POST .*: HTTP 500"):
        await hook.run("a", "x", method="POST")
    assert http_server.count("/a") == 1
    http_server.on("/b", says(429), says(200, "x"))
    assert (await hook.run("b", json={}, method="post")).text == "x"
    assert http_server.count("/b") == 2


@pytest.mark.parametrize(("status", "error"), [(403, EndpointRefusedError), (302, EndpointRefusedError)])
async def test_what_will_not_pass_is_raised_at_once(
    hook: HttpAsyncHook, http_server: HttpServer, status: int, error: type[Exception]
) -> None:
    """After one request."""
    http_server.on("/a", says(status))
    with pytest.raises(error, match=f"HTTP {status}"):
        await hook.run("a")
    assert http_server.count("/a") == 1


async def test_the_hook_has_limits(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of size, of redirects and of time; an answer without its body is no answer."""
    connect(monkeypatch, "api", host=http_server.url)
    http_server.on("/large", says(200, b"x" * 100))
    http_server.on("/there", redirects("/large"))
    answer = await HttpAsyncHook("api", max_redirects=1).run("there")
    assert answer.size == 100
    with pytest.raises(EndpointAnswerError, match="larger than it may be"):
        (await HttpAsyncHook("api", max_size=99).run("large")).json()
    http_server.on("/slow", never())
    with pytest.raises(EndpointUnavailableError, match=r"no whole answer in 0\.2 s"):
        await HttpAsyncHook("api", total_timeout=0.2, retry_limit=0).run("slow")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"retry_limit": -1}, "retry_limit must be an integer from 0 to 1000, got -1"),
        ({"retry_delay": 0}, "retry_delay must be a positive number of seconds, got 0"),
        ({"connect_timeout": "x"}, "connect_timeout must be a positive number of seconds, got 'x'"),
        ({"max_redirects": 1.5}, "max_redirects must be an integer >= 0, got 1.5"),
    ],
)
def test_a_wrong_argument_is_an_error(arguments: dict[str, Any], message: str) -> None:
    """At once."""
    with pytest.raises(ConfigError) as caught:
        HttpAsyncHook(**arguments)
    assert str(caught.value) == message


def test_the_connection_can_be_tried(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Airflow's button does: any answer will do that does not refuse who we are."""
    connect(monkeypatch, "api", host=http_server.url, login="me", password=SECRET)
    for status, is_good in ((404, True), (200, True), (401, False), (500, False)):
        http_server.on("/", says(status, SECRET))
        worked, message = HttpAsyncHook("api").test_connection()
        assert (worked, message) == (is_good, f"{http_server.url} answers HTTP {status}")
    connect(monkeypatch, "gone", host="127.0.0.1", port=1)
    worked, message = HttpAsyncHook("gone").test_connection()
    assert not worked
    assert "no connection" in message
    assert HttpAsyncHook("no_such").test_connection()[0] is False


def test_the_form_of_a_connection_hides_nothing_that_is_used() -> None:
    """Each of its fields has a meaning."""
    assert HttpAsyncHook.get_ui_field_behaviour()["hidden_fields"] == []


# Encryption.


@contextmanager
def encrypted(folder: Path) -> Iterator[tuple[int, Path]]:
    """Run a server with a certificate that nobody but its own file vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (pem := folder / "server.pem").write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (authority := folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = HTTPServer(("127.0.0.1", 0), _Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/open" else 200)
        self.send_header("Location", f"http://{self.headers['Host']}/")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_certificates_are_checked_as_the_connection_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By those whom the machine believes, by a file, or not at all."""
    with encrypted(tmp_path) as (port, authority):
        base = {"host": "localhost", "schema": "https", "port": port}
        for extra, outcome in (
            ({}, "the certificate of the server is not to be believed"),
            ({"verify": str(authority)}, "hello"),
            ({"verify": False}, "hello"),
            ({"verify": str(tmp_path / "none.pem")}, "a certificate of connection 'api' cannot be used"),
            ({"cert": str(authority)}, "a certificate of connection 'api' cannot be used"),
        ):
            connect(monkeypatch, "api", **base, extra=extra)
            assert outcome in asyncio.run(said())


def test_the_same_place_without_encryption_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its host and its port are the same, and the connection names them."""
    with encrypted(tmp_path) as (port, authority):
        extra = {"verify": str(authority), "redirect_hosts": ["localhost"]}
        connect(monkeypatch, "api", host="localhost", schema="https", port=port, password=SECRET, extra=extra)
        assert f"leads to http://localhost:{port}, which is not encrypted" in asyncio.run(said("open"))


async def said(endpoint: str = "") -> str:
    try:
        return (await HttpAsyncHook("api", retry_limit=0, max_redirects=3).run(endpoint)).text
    except (ConfigError, EndpointRefusedError) as error:
        return str(error)
