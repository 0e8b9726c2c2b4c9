"""The page of targets: what it shows, and to whom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import quote

import pytest
from airflow.api_fastapi.core_api.security import get_user
from httpx import ASGITransport, AsyncClient

from fileflow_async import Producer, open_store
from fileflow_async.manifest import Input
from fileflow_async.plugin import application as pages
from fileflow_async.plugin.application import application
from fileflow_async.store import TargetStore
from tests.planting import put
from tests.plugin.conftest import Site

KEY = "shop/20261120T000000Z/extract/output"
REPORT = "shop/20261120T000000Z/report/output"
SECRET = "bank/20261120T000000Z/accounts/output"


def page(site: Site, path: str, code: int = 200) -> str:
    answer = site.client.get(path)
    assert answer.status_code == code, answer.text
    return str(answer.text)


def target(key: str) -> str:
    return f"/target?key={quote(key, safe='')}"


def test_it_leads_from_dags_to_records(site: Site) -> None:
    """By links that a page has itself, wherever Airflow is mounted."""
    site.work(
        lambda store: put(store, KEY, b"planted-data", format="text", producer=Producer(run_id="run-1"))
    )
    assert 'href="./?prefix=shop/"' in page(site, "/")
    assert 'href="./?prefix=shop/20261120T000000Z/"' in page(site, "/?prefix=shop/")
    listed = page(site, "/?prefix=shop/20261120T000000Z/extract/")
    assert f'href="./target?key={KEY}"' in listed
    assert "COMPLETE" in listed
    shown = page(site, target(KEY))
    for words in (f"{site.root.as_uri()}/{KEY}", "12 bytes", "try 1 of run-1"):
        assert words in shown


def test_data_is_never_given_out(site: Site) -> None:
    """Nor what statistics tell of it."""

    async def work(store: TargetStore) -> None:
        async with store.write(KEY, format="csv") as out:
            out.stats = {"amount": {"sum": 8_675_309, "max": 8_675_309}}
            await out.write(b"planted-data")

    site.work(work)
    for path in ("/", "/?prefix=shop/", "/?prefix=shop/20261120T000000Z/", target(KEY)):
        shown = page(site, path)
        assert "planted-data" not in shown
        assert "8675309" not in shown


def test_who_is_not_logged_in_sees_nothing(site: Site) -> None:
    """Airflow's own check, without what stands in for it here."""
    site.work(lambda store: put(store, KEY, b"1"))
    application.dependency_overrides.pop(get_user)
    for path in ("/", "/?prefix=shop/", target(KEY)):
        assert site.client.get(path).status_code == 401, path


def test_each_dag_is_airflows_to_show(site: Site) -> None:
    """Its slots, its targets, its records; and whether it is there at all."""
    for key in (KEY, SECRET):
        site.work(lambda store, key=key: put(store, key, b"1"))  # type: ignore[misc]
    assert "bank" not in page(site, "/")
    for prefix in ("bank/", "bank/20261120T000000Z/", "bank/20261120T000000Z/accounts/", "missing/"):
        page(site, f"/?prefix={prefix}", 403)
    page(site, target(SECRET), 403)
    site.allowed.add("bank")
    assert "bank" in page(site, "/")
    page(site, target(SECRET))


@pytest.mark.parametrize(
    "prefix", ["s", "shop", "ba", "~/", "%7E/", "%ZZ/", ".feed/", "../", "/etc/", f"{'x' * 120}~{'0' * 24}/"]
)
def test_a_prefix_is_one_whole_dag_at_least(prefix: str, site: Site) -> None:
    """Else it would list those of others whose names begin alike; `~` would be all of them."""
    site.allowed |= {"s", "ba", "~", "..", ".feed", "/etc", ""}  # Airflow may take no id for all DAGs
    page(site, f"/?prefix={quote(prefix, safe='')}", 403)


def test_what_a_dag_may_not_be_seen_of_is_not_named_as_an_input(site: Site) -> None:
    """A record has the keys of its inputs, whoever's they are."""

    async def work(store: TargetStore) -> None:
        secret, known = await put(store, SECRET, b"1"), await put(store, KEY, b"2")
        inputs = [Input(target=each.target, data=each.data, sha256=each.sha256) for each in (secret, known)]
        await put(store, REPORT, b"3", inputs=inputs)
        await put(store, KEY, b"4")

    site.work(work)
    shown = page(site, target(REPORT))
    assert KEY in shown
    assert "changed" in shown
    assert "accounts" not in shown
    assert "a target that you may not see" in shown


def test_what_others_wrote_is_text(site: Site) -> None:
    """Error messages, names and columns are escaped, and nothing on the page may run."""

    async def work(store: TargetStore) -> None:
        await store.fail(KEY, error="<script>alert(1)</script>", producer=Producer())
        async with store.write(REPORT) as out:
            out.columns = [("<b>id</b>", "int64")]
            out.checks = [{"message": "<i>"}, {"name": "<u>", "passed": True}]
            await out.write(b"1")

    site.work(work)
    for path in (target(KEY), target(REPORT), "/?prefix=shop/20261120T000000Z/"):
        answer = site.client.get(path)
        for tag in ("<script", "<b>", "<i>", "<u>"):
            assert tag not in answer.text
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "script-src" not in policy
        assert policy.endswith("frame-ancestors 'self'")  # no other site shows it as its own
        assert answer.headers["cache-control"] == "no-store"
    assert "&lt;script&gt;" in page(site, target(KEY))


def test_every_state_is_shown(site: Site) -> None:
    """What is there of a target, damaged and unfinished ones too."""

    async def work(store: TargetStore) -> None:
        run = "shop/20261120T000000Z"
        lost = await put(store, f"{run}/corrupt/output", b"1")
        await store.storage.delete([f"{run}/corrupt/output/{lost.data}"])
        await put(store, f"{run}/empty/output", b"")
        await store.fail(f"{run}/failed/output", error="boom", producer=Producer())
        await store.storage.put(f"{run}/writing/output/20991120T101502123Z-t03-7c9e1f02ab44.csv", b"1")

    site.work(work)
    listed = page(site, "/?prefix=shop/20261120T000000Z/")
    for state, name in (
        ("CORRUPT", "corrupt"),
        ("EMPTY", "empty"),
        ("FAILED", "failed"),
        ("IN_PROGRESS", "writing"),
    ):
        assert f'<td class="{state}">' in listed
        assert state in page(site, target(f"shop/20261120T000000Z/{name}/output"))
    assert "ABSENT" in page(site, target("shop/20261120T000000Z/nothing/output"))


def test_what_goes_wrong_is_a_page_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a code that tells whose fault it is."""
    assert "is not the key of a target" in page(site, target("shop/x"), 400)
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", "/nowhere/at/all")
    assert "is it mounted?" in page(site, target(KEY), 503)
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", "relative")
    page(site, target(KEY), 500)


def test_a_store_that_refuses_is_not_the_fault_of_who_asks(site: Site) -> None:
    """Nor of Airflow: it stands between the two."""
    (site.root / "shop").symlink_to(site.root.parent)
    assert "links are not followed" in page(site, target(KEY), 502)


def test_a_store_that_hangs_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep its place among the few pages for ever."""

    @asynccontextmanager
    async def open_never(*, impatient: bool) -> AsyncIterator[TargetStore]:
        await asyncio.get_running_loop().create_future()
        yield  # type: ignore[misc]

    monkeypatch.setattr(pages, "open_store", open_never)
    monkeypatch.setattr(pages, "_PATIENCE", 0.05)
    assert "the store does not answer in time" in page(site, target(KEY), 504)


async def test_few_pages_are_made_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server has other work; and a store that is in trouble is given up in time for that."""
    asked, opened, most, impatiently = 0, 0, 0, list[bool]()
    all_asked = asyncio.Event()

    class Noting(asyncio.Semaphore):
        async def acquire(self) -> Literal[True]:
            nonlocal asked
            asked += 1
            if asked == 6:
                all_asked.set()
            return await super().acquire()

    @asynccontextmanager
    async def open_later(*, impatient: bool = False) -> AsyncIterator[TargetStore]:
        nonlocal opened, most
        opened += 1
        most = max(most, opened)
        impatiently.append(impatient)
        await all_asked.wait()
        async with open_store(impatient=impatient) as store:
            yield store
        opened -= 1

    monkeypatch.setattr(pages, "open_store", open_later)
    monkeypatch.setattr(pages, "_AT_ONCE", Noting(2))
    monkeypatch.setattr(pages, "_PATIENCE", 5.0)
    async with AsyncClient(transport=ASGITransport(application), base_url="http://airflow") as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(6)))
    assert [each.status_code for each in answers] == [200] * 6
    assert most == 2
    assert impatiently == [True] * 6


def test_the_store_is_the_configured_one_whatever_is_asked_for(site: Site) -> None:
    """A root in the address would open whatever the API server's machine can reach."""
    shown = page(site, f"{target(KEY)}&root=file:///etc&conn_id=other")
    assert site.root.as_uri() in shown


def test_long_lists_are_cut(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fileflow_async.plugin.application._MOST", 2)
    for number in range(3):
        site.work(lambda store, number=number: put(store, f"shop/run={number}/a/output{number}", b"1"))  # type: ignore[misc]
        site.work(lambda store, number=number: put(store, f"shop/run=0/a/output{number}", b"1"))  # type: ignore[misc]
    listed = page(site, "/?prefix=shop/run%3D0/")
    assert "output1" in listed
    assert "output2" not in listed
    assert "There are more" in listed
    slots = page(site, "/?prefix=shop/")
    assert "run=2" in slots
    assert "Only the last 2" in slots
    for method in ("post", "put", "delete"):
        assert getattr(site.client, method)("/").status_code == 405
