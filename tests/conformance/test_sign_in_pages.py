"""What the pages on signing in show works as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integrator.auth.connections import from_environment
from integrator.auth.manners import manners_of
from integrator.auth.presenting import make_ready
from integrator.auth.scheme import COMMON, scheme_of
from integrator.registry import SCHEMES, find
from tests.services.moving import parts

FOLDER = Path(__file__).parents[2] / "docs" / "how-to" / "sign-in"
PAGES = {one.stem: one.read_text("utf-8") for one in sorted(FOLDER.glob("*.md")) if one.stem != "README"}
_EXAMPLE = re.compile(r"export (AIRFLOW_CONN_(\w+?)__(\w+))='(.*?)'\n", re.DOTALL)


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_every_scheme_has_its_page() -> None:
    assert set(PAGES) == set(SCHEMES)
    index = (FOLDER / "README.md").read_text("utf-8")
    assert all(f"({name}.md)" in index for name in SCHEMES)


@pytest.mark.parametrize("page", PAGES)
def test_the_example_of_a_page_makes_a_credential_that_can_be_used(page: str, private_key: str) -> None:
    examples = _EXAMPLE.findall(PAGES[page])
    assert examples
    for variable, project, name, text in examples:
        whole = text.replace('"private_key": "..."', f'"private_key": {json.dumps(private_key)}')
        credential = from_environment({variable: whole}, project.lower(), name.lower())
        assert credential is not None
        assert credential.scheme == page
        assert credential.base_url.startswith("https://")
        manners_of(credential)
        made = make_ready(credential, parts().around())
        assert page == made.scheme.NAME
        assert json.loads(text)["conn_type"] == f"integrator_{page}"


def test_a_shorter_example_works_too() -> None:
    [short] = re.findall(r"one-legged: `(\{.*?\})`", PAGES["oauth1"])
    extra = json.loads(short)
    one = from_environment(
        {"AIRFLOW_CONN_A__B": json.dumps({"conn_type": "integrator_oauth1", "host": "https://h", "extra": extra})}, "a", "b"
    )
    assert one is not None
    scheme_of(one)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_each_field_of_its_scheme_and_no_other(page: str) -> None:
    known = {field.name for field in find("scheme", page).FIELDS}
    shown = set(re.findall(r"`([a-z0-9_]+)`", PAGES[page]))
    assert known <= shown
    for row in re.findall(r"^\| ((?:`[a-z0-9_]+`(?:, )?)+) \|", PAGES[page], re.MULTILINE):
        assert set(re.findall(r"`([a-z0-9_]+)`", row)) <= known | {field.name for field in COMMON}
