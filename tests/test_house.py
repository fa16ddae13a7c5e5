"""The house's own rules, held by reading its files. Source: STYLE.md's shape."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "plugins" / "integrator"
FILES = sorted(PACKAGE.rglob("*.py"))
CORE = ("model", "wire", "auth", "paging", "mapping", "connectors", "authoring", "store", "engine")
FILE_LINES, FUNCTION_LINES, CHAIN = 300, 50, 2
AIRFLOWS = {"BaseOperator", "BaseHook", "BaseDBManager", "AirflowPlugin", "FlowTask", "IntegratorHook"}


def shown(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", FILES, ids=shown)
def test_a_file_fits_on_a_few_screens(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("file", FILES, ids=shown)
def test_a_function_fits_on_a_screen(file: Path) -> None:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES, node.name


def test_no_file_has_the_name_of_a_standard_library_module() -> None:
    # Airflow's plugin loader would run it in that module's place if plugins/.airflowignore ever went missing.
    taken = [shown(f) for f in FILES if f.stem in sys.stdlib_module_names and f.stem != "__init__"]
    assert taken == []


def test_airflow_does_not_run_our_files_as_plugins() -> None:
    assert "integrator/**" in (ROOT / "plugins" / ".airflowignore").read_text().split()


def test_no_vague_names() -> None:
    vague = {"util", "utils", "base", "manager", "helper", "helpers", "misc"}
    assert [shown(f) for f in FILES if vague & set(f.stem.split("_"))] == []


def test_every_public_class_and_function_says_what_it_does() -> None:
    silent = []
    for file in FILES:
        if "migrations" in file.parts or file.name == "functions.py":
            continue
        for node in ast.parse(file.read_text()).body:
            if (
                isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
            ):
                silent.append(f"{shown(file)}:{node.lineno} {node.name}")
    assert silent == []


def test_class_chains_are_short() -> None:
    bases: dict[str, list[str]] = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [b.id for b in node.bases if isinstance(b, ast.Name)]

    def chain(name: str) -> int:
        return 1 + max((chain(b) for b in bases.get(name, []) if b in bases and b not in AIRFLOWS), default=0)

    long = {name: chain(name) for name in bases if chain(name) > (4 if name.endswith("Error") else CHAIN)}
    assert long == {}


def test_only_the_store_writes_sql() -> None:
    for file in FILES:
        # watch_connections.py only listens to Airflow's own model.
        if file.relative_to(PACKAGE).parts[0] in ("store", "migrate_tables.py", "launching", "watch_connections.py"):
            continue
        text = file.read_text()
        assert "import sqlalchemy" not in text, shown(file)
        assert "from sqlalchemy" not in text, shown(file)


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("integrator.cli", ("pydantic", "aiohttp", "sqlalchemy", "airflow", "yaml")),
        ("integrator.authoring.library", ("aiohttp", "sqlalchemy", "airflow", "requests", "rich")),
        ("integrator.sign_in", ("pydantic", "airflow", "flask", "sqlalchemy", "requests")),
        ("integrator.provider", ("pydantic", "aiohttp", "sqlalchemy", "requests")),
        ("integrator.wiring", ("airflow", "fastapi", "flask")),
    ],
)
def test_start_up_imports_little(module: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[m for m in {forbidden!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert found.stdout.split() == []


def test_the_published_schema_is_fresh() -> None:
    from integrator.authoring.schema import schema_text

    assert (ROOT / "include" / "pipe.schema.json").read_text() == schema_text(), (
        "run: integrator schema > include/pipe.schema.json"
    )


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-test.txt", "requirements-build.txt"])
def test_the_lock_is_pinned_and_hashed_and_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "index-url" not in text
    assert "://" not in text
    entries = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    assert entries
    for entry in entries:
        assert "==" in entry, entry[:60]
        assert "--hash=sha256:" in entry, entry[:60]


def test_the_lock_keeps_celery_below_the_release_that_breaks_airflow() -> None:
    pins = dict(
        line.split("==")[:2] for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("celery==")
    )
    assert tuple(map(int, pins["celery"].split()[0].split(".")[:2])) < (5, 7)


def test_the_reference_pages_are_fresh() -> None:
    code = "import runpy; m = runpy.run_path('docs/make_reference.py'); print(*[f for f, make in m['PAGES'].items() if make() != (m['FOLDER'] / f).read_text('utf-8')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == [], "run: python docs/make_reference.py"
