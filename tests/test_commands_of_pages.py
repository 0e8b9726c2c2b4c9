"""What pages tell to type exists, what only looks is executed, and what they show is what is said."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fileflow_async import Slot, Target, TargetStore, open_store
from fileflow_async.cli import main as fileflow
from fileflow_async.config import described
from fileflow_async.criteria import Criteria
from fileflow_async.manifest import SUFFIX
from fileflow_async.outcome import Outcome
from fileflow_async.status import attempt_in, unfinished_in
from fileflow_async.storage.protocol import PIECE
from fileflow_async.target import Attempt
from fileflow_async.triggers.progress import Progress
from fileflow_async.waiting import Wait
from tests.pages import DOCS, PAGES, ROOT, blocks, steady

BIN = Path(sys.prefix, "bin")
MAKEFILE = (ROOT / "Makefile").read_text()
SLOT = Slot(logical_date=datetime(2026, 11, 21, tzinfo=UTC))
EXTRACT = Target(dag_id="shop", task_id="extract", slot=SLOT)
# From Docker's reference: there is no engine where this is written.
COMPOSE = {"up": {"--build", "--wait", "--scale"}, "logs": set[str](), "down": {"--volumes"}}
MENTIONED = re.compile(r"`((?:make|fileflow|airflow|docker compose|tools/[\w-]+) [^`…]+)`")
LOOKS = ("doctor", "ls", "show", "verify", "wait")
VARIABLE = re.compile(r"\bAIRFLOW__[A-Z_]+?__[A-Z_]+\b")
# The tests that run what is in a language; directives are Sphinx's.
RUN_BY = {
    "python": "test_docs",
    "json": "test_docs",
    "console": "cli/test_page_of_the_command",
    "sh": "here and test_tutorial",
    "text": "here and test_tutorial",
    "ini": "here",
}


def typed() -> list[tuple[str, ...]]:
    """Return the commands of all pages, each once, in blocks and between other words."""
    lines = list[str]()
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        lines += MENTIONED.findall(page.read_text())
        if page.name != "tutorial.md":  # its blocks are one story
            lines += [line for block in blocks(page, "sh") for line in block.text.splitlines()]
    commands = set[tuple[str, ...]]()
    for line in lines:
        words = [word if word not in ("|", "&&") else None for word in shlex.split(line, comments=True)]
        ends = [index for index, word in enumerate(words) if word is None]
        for start, end in zip([0, *(each + 1 for each in ends)], [*ends, len(words)], strict=True):
            commands.add(tuple(word for word in words[start:end] if word is not None))
    return sorted(commands - {()})


def help_of(*command: str) -> str:
    done = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def make(*arguments: str) -> None:
    """The targets are there, and what they are given is understood."""
    targets = [word for word in arguments if "=" not in word]
    variables = dict(word.split("=", 1) for word in arguments if "=" in word)
    recipes = [re.search(rf"^{target}:.*\n(\t.*\n)*", MAKEFILE, re.MULTILINE) for target in targets]
    assert all(recipes), targets
    recipe = "".join(found[0] for found in recipes if found)
    for name, value in variables.items():
        if name == "PYTHON":
            assert "${PYTHON:-" in (ROOT / "tools" / "bootstrap").read_text()
        elif name == "ARGS":
            (program,) = re.findall(r"python (.*) \$\(ARGS\)", recipe)
            assert value in help_of(sys.executable, *program.split())
        else:
            assert f"$({name})" in recipe, name


def compose(word: str, *arguments: str) -> None:
    """The services are there, and the options are Docker's."""
    assert word == "compose"
    command, *rest = arguments
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert {each for each in rest if each.startswith("-")} <= COMPOSE[command]
    assert {each.partition("=")[0] for each in rest if not each.startswith("-")} <= set(services)


def airflow(*arguments: str) -> None:
    """Airflow parses it."""
    from airflow.cli.cli_parser import get_parser

    assert callable(get_parser().parse_args(arguments).func)


def installed(program: str, *arguments: str) -> None:
    """The environment has the program, which knows the options; of pytest, something is collected."""
    if program == "pytest":
        words = [program, "--collect-only", "-q", "-n", "0", *arguments]
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert " tests collected" in done.stdout
    else:
        printed = help_of(str(BIN / program), arguments[0])
        assert all(word in printed for word in arguments if word.startswith("-"))


@pytest.mark.parametrize("command", typed(), ids=shlex.join)
def test_a_command_exists(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """With all that it is given."""
    program, *arguments = command
    if program == "fileflow":
        with pytest.raises(SystemExit, match="0"):
            fileflow([arguments[0], "--help"])
        printed = capsys.readouterr().out
        assert all(f"{word}" in printed for word in arguments if word.startswith("-"))
    elif program.startswith(".venv/bin/"):
        installed(program.rpartition("/")[2], *arguments)
    elif program.startswith("tools/"):
        assert os.access(ROOT / program, os.X_OK)
        assert not arguments
    elif program != "grep":
        known: dict[str, Callable[..., None]] = {"make": make, "docker": compose, "airflow": airflow}
        known[program](*arguments)


def test_what_only_looks_is_executed(tmp_path: Path) -> None:
    """The page for whoever is called at night, line by line, on a store where all is well."""
    (block,) = blocks(DOCS / "failures.md", "sh")
    root = (tmp_path / "store").as_uri()

    async def commit() -> None:
        async with open_store(root, create=True) as store, store.write(EXTRACT, format="csv") as out:
            await out.write(b"id\n1\n")

    asyncio.run(commit())
    path = f"{BIN}{os.pathsep}{os.defpath}"
    environment = {"PATH": path, "HOME": str(tmp_path), "AIRFLOW__FILEFLOW__ROOT": root}
    seen = {}
    for line in block.text.splitlines():
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True)
        seen[shlex.split(line)[1]] = (done.returncode, done.stdout + done.stderr)
    assert {name: code for name, (code, _) in seen.items()} == dict.fromkeys(LOOKS, 0)
    assert "ok      read: what was written is read back\n" in seen["doctor"][1]
    assert all(EXTRACT.key in seen[name][1] for name in ("ls", "show"))
    assert "1 version of 1 target read, 5 bytes; 0 without a commit; 0 damaged" in seen["verify"][1]


def known_settings() -> set[tuple[str, str]]:
    from airflow.configuration import conf

    sections = conf.configuration_description.items()
    known = {(section, option) for section, found in sections for option in found["options"]}
    return known | {("fileflow", setting.name) for setting in described()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_of_a_page_is_known(page: Path) -> None:
    """In blocks of airflow.cfg and as variables; Airflow would ignore a misspelt one without a word."""
    named = set[tuple[str, str]]()
    for block in blocks(page, "ini"):
        (parser := ConfigParser(interpolation=None)).read_string(block.text)
        named |= {(section, option) for section in parser.sections() for option in parser[section]}
    for variable in VARIABLE.findall(page.read_text()):
        _, section, option = variable.lower().split("__", 2)
        named.add((section, option))
    assert named <= known_settings()


def test_ls_shows_what_the_readme_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind the code above it, and in the same folder."""
    (shown,) = blocks(ROOT / "README.md", "text")
    code = next(block.text for block in blocks(ROOT / "README.md", "python") if "open_store(" in block.text)
    exec(compile(code.replace("file:///tmp", tmp_path.as_uri()), "README.md", "exec"), {})  # noqa: S102  # ours
    assert "committed by try 1" in capsys.readouterr().out
    first, *names = shown.text.splitlines()
    folder = Path(first.replace("/tmp", str(tmp_path), 1))
    assert sorted(steady("\n".join(names))) == sorted(
        steady("\n".join(f"    {path.name}" for path in folder.iterdir()))
    )


class Log:
    """What a trigger has logged."""

    def __init__(self) -> None:
        self.lines = list[str]()

    def info(self, event: str, *arguments: Any) -> None:
        self.lines.append(event % arguments)

    warning = info


def test_a_wait_says_what_the_page_shows(tmp_path: Path) -> None:
    """While somebody writes, and at the end of its time."""
    (shown,) = blocks(DOCS / "waiting.md", "text")
    merge, rates = re.findall(r"shop/\w+/\w+/output", shown.text)[:2]
    wait = Wait(targets=[merge, rates], criteria=Criteria())
    log = Log()
    progress = Progress(wait, log, until=1_800_000_000.0)

    async def look(store: TargetStore) -> dict[str, Any]:
        return {key: await store.state(Target.parse(key)) for key in (merge, rates)}

    async def lasts() -> None:
        async with open_store(tmp_path.as_uri()) as store:
            async with store.write(Target.parse(merge), format="csv") as out:
                await out.write(bytes(PIECE))
                seen = await look(store)
                while seen[merge].writing.size < PIECE:  # it is on its way to the disk
                    seen = await look(store)
                progress.tell(seen, 0.0)
            statuses = await look(store)
            progress.end(wait.event(Outcome.TIMEOUT, statuses), statuses)

    asyncio.run(lasts())
    assert [line for each in log.lines for line in steady(each)] == steady(shown.text)


def test_the_layout_on_the_page_is_understood() -> None:
    """Each name in it is what is said behind it; the other picture of that page shows no names."""
    layout, _ = blocks(DOCS / "protocol.md", "text")
    found = re.findall(r"^    (\S*-t\d\d-\S+) ", layout.text, re.MULTILINE)
    data, record, uncommitted, part = found
    assert Attempt.parse(data) == attempt_in(record, suffix=SUFFIX)
    assert Attempt.parse(uncommitted) == unfinished_in(part)
    assert Attempt.parse(uncommitted) is not None


def test_every_block_is_run_by_somebody() -> None:
    """A page in another language needs a test of its own; text is shown on pages that are known."""
    found = {block.language for page in PAGES for block in blocks(page) if block.language[0] != "{"}
    assert found == set(RUN_BY)
    shown = {page.name for page in PAGES if blocks(page, "text")}
    assert shown == {"README.md", "protocol.md", "tutorial.md", "waiting.md"}
    assert {page.name for page in PAGES if blocks(page, "console")} == {"command-line.md"}
