"""What the package must never do: turn data into code, or leave a door open."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fileflow_async

ROOT = Path(fileflow_async.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

# Whatever imports one of these can be made to run what it reads.
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "yaml",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "imp",
    "code",
}
# By their last name, however they are reached: `pd.read_pickle`, `yaml.load`, `os.system`.
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "read_pickle",
    "to_pickle",
    "unsafe_load",
    "full_load",
    "system",
    "popen",
    "mktemp",
    "execl",
    "execv",
    "execve",
    "spawnl",
    "spawnv",
    "create_subprocess_shell",
    "getoutput",
    "_create_unverified_context",
}
YAML = {"yaml", "ruamel"}
ALLOWED_LAST_NAMES = {("re", "compile")}  # a pattern is no code
KEYWORDS = {("shell", True), ("allow_pickle", True), ("verify", False)}


def findings(source: str) -> Iterator[str]:
    """Yield what must not be in a source, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (_at(node, alias.name) for alias in node.names if _is_banned(alias.name))
        elif isinstance(node, ast.ImportFrom) and _is_banned(node.module or ""):
            yield _at(node, node.module or "")
        elif isinstance(node, ast.Call):
            yield from _called(node)


def _called(node: ast.Call) -> Iterator[str]:
    owner, name = _name(node.func)
    if name in CALLS and (owner, name) not in ALLOWED_LAST_NAMES:
        yield _at(node, name)
    if owner in YAML and name == "load":
        yield _at(node, "yaml.load")
    for keyword in node.keywords:
        if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in KEYWORDS:
            yield _at(node, f"{keyword.arg}={keyword.value.value!r}")


def _name(function: ast.expr) -> tuple[str, str]:
    if isinstance(function, ast.Name):
        return "", function.id
    if isinstance(function, ast.Attribute):
        return _name(function.value)[1], function.attr
    return "", ""


def _is_banned(module: str) -> bool:
    return module.partition(".")[0] in MODULES


def _at(node: ast.stmt | ast.expr, what: str) -> str:
    return f"line {node.lineno}: {what}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_in_the_package_is_unsafe(path: Path) -> None:
    """Data and records are never code, and no command passes through a shell."""
    assert list(findings(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import dill.source",
        "import yaml",
        "from joblib import load",
        "from marshal import loads",
        "eval('1')",
        "exec('1')",
        "builtins.exec('1')",
        "__import__(name)",
        "pandas.read_pickle(path)",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "os.system(command)",
        "os.popen(command)",
        "subprocess.run(command, shell=True)",
        "numpy.load(path, allow_pickle=True)",
        "tempfile.mktemp()",
        "httpx.get(url, verify=False)",
        "compile(text, name, 'exec')",
    ],
)
def test_the_check_finds_what_it_is_there_for(source: str) -> None:
    """Otherwise it would show nothing."""
    assert len(list(findings(source))) == 1


def test_what_is_no_danger_is_none() -> None:
    """A pattern, JSON, a program without a shell."""
    source = "re.compile(text); json.loads(text); subprocess.run([program]); yaml.safe_load(text)"
    assert list(findings(source)) == []
