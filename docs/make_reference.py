"""Writes docs/reference/{expressions,settings,credentials}.md and openapi.json from the code that they describe: `.venv/bin/python docs/make_reference.py`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from integrator.auth.scheme import COMMON
from integrator.mapping.functions import FUNCTIONS
from integrator.registry import SCHEMES, find
from integrator.settings import MAINTENANCE_MEANING, MAINTENANCE_VARIABLE, SECTION, Settings

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/make_reference.py; edit the code instead. -->\n\n"


def expressions() -> str:
    """Return the page of the expression language."""
    lines = [
        "# Expressions\n",
        "Python's expression syntax, whitelisted; the same in `where`, `map`, `success` and in the braces of paths, params, headers and `{text: ...}`.\n",
        '- **Paths**: `a.b[0].c`; a part that is not there gives null, never an error. Odd names: `record["@odata.etag"]`.',
        "- **Operators**: `and or not  == != < <= > >=  in  not in  is null  + - * / %  x if c else y`. `+` also joins two texts.",
        "- **Values**: quoted texts, numbers (digits kept, no binary fractions), `true`, `false`, `null`, lists in brackets.",
        "- Null or text in arithmetic is a failed record that names its field: write `default(x, 0)` or `number(x)`.",
        "- **Variables**: `vars.x` is a variable of the project ([environments](../how-to/environments.md)); a record's own member `vars` is `record.vars`.",
        "- Limits: 4,000 characters, 500 parts, texts of 1,000,000 characters, numbers of 400 digits.\n",
        "| function | arguments | gives |\n|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {function.takes().removesuffix('s').removesuffix(' argument')} | {function.meaning} |"
        for name, function in FUNCTIONS.items()
    ]
    lines.append("\nA function of null is null, except `default`, `coalesce`, `length`, `join`, `matches`, `sum` and `odata`.")
    return NOTE + "\n".join(lines) + "\n"


def settings() -> str:
    """Return the page of the settings."""
    lines = [
        "# Settings\n",
        f"In airflow.cfg's section `[{SECTION}]`, or as `AIRFLOW__{SECTION.upper()}__<NAME>`; the environment wins. The command line also reads the home folder's `env` file.\n",
        "| setting | default | unit | meaning |\n|---|---|---|---|",
    ]
    for one in fields(Settings):
        shown = "" if one.name == "home" or one.default == "" else f"`{one.default}`"
        name = "`INTEGRATOR_HOME`" if one.name == "home" else f"`{one.name}`"
        lines.append(f"| {name} | {shown} | {one.metadata['unit']} | {one.metadata['meaning']} |")
    lines.append(f"| `{MAINTENANCE_VARIABLE}` | | | {MAINTENANCE_MEANING} |")
    return NOTE + "\n".join(lines) + "\n"


def credentials() -> str:
    """Return the page of the schemes."""
    lines = [
        "# Credentials\n",
        "A credential is an Airflow connection named `<project>__<name>`: type `integrator_<scheme>`, `host` the base URL, everything else in `extra`, which Airflow encrypts as a whole.",
        "Without Airflow: `AIRFLOW_CONN_<PROJECT>__<NAME>` as JSON or URI. Such variables are not encrypted.\n",
    ]
    for name in SCHEMES:
        kind = find("scheme", name)
        lines.append(f"## {name}\n")
        if (FOLDER.parent / "how-to" / "sign-in" / f"{name}.md").exists():
            lines.append(f"[How to set it up, and what may go wrong](../how-to/sign-in/{name}.md)\n")
        lines += ["| field | needed | secret | meaning |\n|---|---|---|---|"]
        for field in (*kind.FIELDS, *COMMON):
            lines.append(
                f"| `{field.name}` | {'yes' if field.required else ''} | {'yes' if field.secret else ''} | {field.meaning} |"
            )
        lines.append("")
    return NOTE + "\n".join(lines)


def openapi() -> str:
    """Return the document of the API."""
    from integrator.web.api.document import document_text

    return document_text()


PAGES = {"expressions.md": expressions, "settings.md": settings, "credentials.md": credentials, "openapi.json": openapi}

if __name__ == "__main__":
    for file, make in PAGES.items():
        (FOLDER / file).write_text(make(), "utf-8")
