"""The page as Airflow's API server serves it, with Airflow's own logins."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fileflow_async import open_store
from tests.planting import put

KEY = "shop/20261120T000000Z/extract/output"
DAG = """
from airflow.sdk import DAG
shop = DAG("shop", schedule=None)
"""
ASK = """
import json, sys
from airflow.api_fastapi.app import create_app
from fastapi.testclient import TestClient

application = create_app(apps="core")
login = TestClient(application).post("/auth/token", json={"username": "ann", "password": "planted"})
token = login.json()["access_token"]
found = {}
for name, cookies, headers in (
    ("nobody", {}, {}),
    ("forged", {"_token": token[:-4] + "AAAA"}, {}),
    ("cookie", {"_token": token}, {}),
    ("header", {}, {"Authorization": f"Bearer {token}"}),
):
    client = TestClient(application, cookies=cookies, headers=headers)
    pages = [client.get(f"/fileflow/{path}") for path in sys.argv[1:]]
    found[name] = [[page.status_code, page.text] for page in pages]
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)  # Airflow three times, on a machine that may be busy
def test_airflow_lets_in_who_is_logged_in(tmp_path: Path) -> None:
    """By the cookie of a browser or by a token; nobody else, and not by a forged one."""
    (dags := tmp_path / "dags").mkdir()
    (dags / "shop.py").write_text(DAG)
    (passwords := tmp_path / "passwords.json").write_text('{"ann": "planted"}')
    root = tmp_path / "store"
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API_AUTH__JWT_SECRET": "x" * 64,
        "AIRFLOW__FILEFLOW__ROOT": root.as_uri(),
    }

    async def plant() -> None:
        async with open_store(root, create=True, durability="none") as store:
            await put(store, KEY, b"data")
            await put(store, KEY.replace("shop", "gone"), b"data")

    def ran(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended.stdout

    asyncio.run(plant())
    ran("-m", "airflow", "db", "migrate")
    ran("-m", "airflow", "dags", "reserialize")
    printed = ran("-c", ASK, "", "?prefix=shop/", f"target?key={KEY}")
    found = json.loads(printed[printed.rindex('{"nobody"') :])
    assert [code for code, _ in found["nobody"]] == [401, 401, 401]
    assert {code for code, _ in found["forged"]} <= {401, 403}
    for name in ("cookie", "header"):
        (list_code, dags_page), (slot_code, slots), (code, record) = found[name]
        assert [list_code, slot_code, code] == [200, 200, 200], name
        assert "prefix=shop/" in dags_page
        assert "gone" not in dags_page  # a DAG that Airflow does not know
        assert "20261120T000000Z" in slots
        assert "COMPLETE" in record
