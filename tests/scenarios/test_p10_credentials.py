"""P10, P2: a project's credentials are its members' to use; where secrets go is an administrator's to say first; nothing shows one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from integrator.actions.acting import Acting
from integrator.actions.credential_shown import NOBODY_YET
from integrator.actions.credentials import Credentials, Found
from integrator.actions.who import Who
from integrator.auth.places import places_of
from integrator.errors import (
    AccessError,
    ConfigError,
    CredentialMissingError,
    FieldsError,
    NotAMemberError,
    OutdatedError,
    RoleTooLowError,
)
from integrator.model.access import Role
from integrator.model.credential import Credential
from integrator.model.project import USUAL, Wants
from integrator.store.audit import SqlAudit
from integrator.store.database import open_engine, upgrade
from integrator.store.sealing import Sealer
from integrator.store.tokens import SqlTokens
from tests.services.api_server import Connections
from tests.services.moving import parts
from tests.services.system import System

CANARY = "canary-4711-secret"
ROLES = {"olga": Role.OWNER, "ada": Role.ADMINISTRATOR, "stan": Role.STANDARD}


class Site:
    """Credentials of a project with people in it, and of another project."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'x.db'}"
        upgrade(url)
        self.audit, self.store, self.wants = SqlAudit(open_engine(url), b"key"), Connections(), USUAL
        self.removed: list[tuple[str, ...]] = []
        tokens = SqlTokens(open_engine(url), Sealer("x" * 43 + "="))
        around = replace(parts().around(), wants=lambda _project: self.wants, tokens=tokens)
        self.credentials = Credentials(self.store, around, tokens.rows, removed=lambda *what: self.removed.append(what))
        self.store.save(basic("shop", "https://shop.example.com/api"), replace=False)
        self.store.save(basic("erp", "https://erp.example.com:8443"), replace=False)
        self.store.save(basic("theirs", "https://theirs.example.com", project="other"), replace=False)

    def who(self, name: str) -> Who:
        roles = {"acme": ROLES[name]} if name in ROLES else {"other": Role.OWNER}
        return Who(Acting(name, "192.0.2.1", self.audit), name == "root", roles)

    def add(self, name: str, base_url: str, scheme: str = "none", who: str = "stan", **fields: Any) -> Any:
        return self.credentials.add(self.who(who), "acme", name, scheme, base_url, fields)

    def edit(self, name: str, who: str = "stan", version: str | None = None, base_url: str | None = None, **fields: Any) -> Any:
        return self.credentials.edit(self.who(who), "acme", name, fields, base_url=base_url, version=version)

    def last(self) -> tuple[str, str, str]:
        line = next(self.audit.lines()).line
        return line.action, line.target, line.came.value


def basic(name: str, url: str, project: str = "acme") -> Credential:
    return Credential(project, name, "basic", url, {"username": "ann", "password": CANARY})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# what -> who may: owner, administrator, standard, owner of another project, platform administrator
ASKED: dict[str, tuple[Callable[[Credentials, Who], Any], tuple[bool, ...]]] = {
    "list": (lambda c, who: c.every(who, "acme"), (True, True, True, False, True)),
    "list all": (lambda c, who: c.every(who, None), (False, False, False, False, True)),
    "show": (lambda c, who: c.show(who, "acme", "shop"), (True, True, True, False, True)),
    "add where others go": (lambda c, who: c.add(who, "acme", "two", "none", "https://shop.example.com/v2", {}), (True, True, True, False, True)),
    "add elsewhere": (lambda c, who: c.add(who, "acme", "two", "none", "https://new.example.com", {}), (True, True, False, False, True)),
    "edit": (lambda c, who: c.edit(who, "acme", "shop", {"username": "bob"}), (True, True, True, False, True)),
    "move": (lambda c, who: c.edit(who, "acme", "shop", {"password": "n" * 9}, base_url="https://new.example.com"), (True, True, False, False, True)),
    "remove": (lambda c, who: c.remove(who, "acme", "shop"), (True, True, True, False, True)),
    "forget tokens": (lambda c, who: c.remove(who, "acme", "shop", tokens_only=True), (True, True, True, False, True)),
}  # fmt: skip


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("at", range(5), ids=["owner", "administrator", "standard", "stranger", "platform"])
def test_the_role_decides_and_each_change_is_noted(site: Site, what: str, at: int) -> None:
    ask, allowed = ASKED[what]
    name, before = ("olga", "ada", "stan", "nora", "root")[at], dict(site.store.rows)
    if allowed[at]:
        ask(site.credentials, site.who(name))
    else:
        with pytest.raises(AccessError) as refused:
            ask(site.credentials, site.who(name))
        assert site.store.rows == before
        if at == 3 and what != "list all":
            assert isinstance(refused.value, NotAMemberError)
            assert str(refused.value) == "there is no project acme"
    if "list" not in what and what != "show":
        assert site.last()[2] == ("done" if allowed[at] else "refused")


OAUTH = {"grant": "client_credentials", "client_id": "me", "client_secret": CANARY}
SHOP = "https://shop.example.com"
MOVES: list[tuple[str, str, dict[str, Any]]] = [
    ("none", "https://shop.example.com:444", {}), ("none", "https://shop.example.com.", {}), ("none", "https://erp.example.com", {}), ("none", "https://xshop.example.com", {}),
    ("none", "http://shop.example.com", {"plain_http": True}), ("none", "http://127.0.0.1:9", {"plain_http": True}), ("none", "https://ѕhop.example.com", {}), ("none", "https://theirs.example.com", {}),
    ("none", "https://[2606:4700::1111]", {}), ("none", "https://broken.example.com", {}),
    ("oauth2", SHOP, {**OAUTH, "token_url": "https://login.evil.example/token"}), ("oauth2", SHOP, {**OAUTH, "token_url": "https://shop.example.com:444/token"}),
    ("oauth2", SHOP, {**OAUTH, "token_url": "/token", "base_url_from": "instance_url", "base_url_suffixes": "evil.example"}),
    ("oauth2", SHOP, {**OAUTH, "grant": "authorization_code", "token_url": "/token", "authorize_url": "https://login.evil.example/authorize"}),
    ("session_login", SHOP, {"login": '{"url": "https://login.evil.example/login", "json": {"u": "{username}"}}', "username": "u", "password": CANARY}),
    ("session_login", SHOP, {"login": '{"url": "https:\\/\\/login.evil.example/login"}', "username": "u", "password": CANARY}),
    ("session_login", SHOP, {"login": '{"url": "\\u0068ttps://login.evil.example/login"}', "username": "u", "password": CANARY}),
    ("session_login", SHOP, {"logout": '{"url": "https://login.evil.example/bye"}', "username": "u", "password": CANARY}),
    ("token_chain", SHOP, {"steps": '[{"path": "/one", "take": {"one": "token"}}, {"url": "https://login.evil.example/two", "take": {"token": "token"}}]'}),
    ("token_chain", SHOP, {"steps": '[{"path": "/one", "take": {"token": "token", "base_url": "there"}}]', "base_url_suffixes": "evil.example"}),
    ("oauth1", SHOP, {"consumer_key": "k", "consumer_secret": CANARY, "request_token_url": "https://shop.example.com/r", "authorize_url": "https://shop.example.com/a", "access_token_url": "https://evil.example/t"}),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "url", "fields"), MOVES)
def test_a_standard_user_points_no_credential_where_none_goes_yet(
    site: Site, scheme: str, url: str, fields: dict[str, Any]
) -> None:
    site.store.rows["acme__bad"] = Credential("acme", "bad", "basic", "https://broken.example.com", {"nonsense": "1"})
    site.store.rows["acme__worse"] = "it cannot be decrypted"
    before = dict(site.store.rows)
    with pytest.raises(RoleTooLowError, match="has to make the first one"):
        site.add("mine", url, scheme, **fields)
    assert site.store.rows == before
    assert site.last() == ("credential.keep", "acme/mine", "refused")


@pytest.mark.parametrize("at", [at for at, one in enumerate(MOVES) if "evil" in str(one)])
def test_what_a_standard_user_may_not_an_administrator_may_and_then_it_is_known(site: Site, at: int) -> None:
    scheme, url, fields = MOVES[at]
    with pytest.raises(RoleTooLowError, match="has to make the first one"):
        site.add("mine", url, scheme, **fields)
    site.add("first", url, scheme, who="ada", **fields)
    assert "evil.example" in str(next(site.audit.lines()).line.detail["new_places"])
    site.add("mine", url, scheme, **fields)


def test_every_place_that_a_sign_in_names_counts() -> None:
    for scheme, fields in (
        ("oauth2", {**OAUTH, "token_url": "https://a.example/t"}),
        ("oauth2", {**OAUTH, "token_url": "/t", "authorize_url": "https://a.example/x"}),
    ):
        assert places_of(Credential("acme", "x", scheme, SHOP, fields)) == {
            "https://shop.example.com:443",
            "https://a.example:443",
        }
    suffixes = places_of(
        Credential(
            "acme",
            "x",
            "oauth2",
            SHOP,
            {**OAUTH, "token_url": "/t", "base_url_from": "i", "base_url_suffixes": "*.Evil.example, b.example"},
        )
    )
    assert suffixes == {"https://shop.example.com:443", "*.evil.example", "*.b.example"}


def test_the_same_place_in_other_letters_is_no_new_one(site: Site) -> None:
    site.add("two", "HTTPS://Shop.Example.COM:443/other/path")
    site.add("three", "https://erp.example.com:8443/")


def test_a_secret_does_not_go_along_to_another_place_that_is_known(site: Site) -> None:
    made = site.edit("shop", base_url="https://erp.example.com:8443")
    assert made.erased == ("password",)
    assert site.store.get("acme", "shop").extra == {"username": "ann"}  # type: ignore[union-attr]
    site.store.rows["acme__shop"] = basic("shop", "https://shop.example.com/api")
    with pytest.raises(FieldsError, match="'token' is missing"):
        site.credentials.keep(site.who("ada"), "acme", "shop", "bearer", None, {}, replace=True)
    made = site.edit("shop", base_url="https://erp.example.com:8443", password="another-one")
    assert made.credential.extra["password"] == "another-one"
    assert CANARY not in str(asdict(made))


def test_what_is_left_out_stays_and_what_is_emptied_goes(site: Site) -> None:
    site.edit("shop", username="bob", test_path="/me")
    assert site.store.rows["acme__shop"] == replace(
        basic("shop", "https://shop.example.com/api"), extra={"username": "bob", "password": CANARY, "test_path": "/me"}
    )
    site.edit("shop", test_path=None)
    assert "test_path" not in site.store.get("acme", "shop").extra  # type: ignore[union-attr]
    with pytest.raises(FieldsError, match="'username' is missing"):
        site.edit("shop", username="")


def test_one_that_was_changed_since_is_not_changed_by_who_did_not_see_it(site: Site) -> None:
    seen = site.credentials.show(site.who("stan"), "acme", "shop").version
    site.edit("shop", version=seen, username="bob")
    with pytest.raises(OutdatedError, match="look at it again"):
        site.edit("shop", version=seen, username="eve")
    assert site.credentials.show(site.who("stan"), "acme", "shop").version != seen
    assert site.credentials.show(site.who("stan"), "acme", "shop").fields["username"] == "bob"


SECRETS: list[tuple[str, str, dict[str, Any]]] = [
    ("basic", SHOP, {"username": "ann", "password": CANARY, "headers_secret": f"X-Key: {CANARY}", "client_certificate": "x", "client_private_key": CANARY, "client_private_key_password": CANARY}),
    ("bearer", f"https://user:{CANARY}@shop.example.com", {"token": CANARY}), ("api_key", f"{SHOP}/?key={CANARY}", {"api_key_secret": CANARY, "test_path": f"/me?key={CANARY}"}),
    ("oauth2", SHOP, {**OAUTH, "token_url": f"https://u:{CANARY}@login.example.com/t?secret={CANARY}", "refresh_token": CANARY, "password": CANARY}),
    ("session_login", SHOP, {"login": json.dumps({"path": "/l", "body": {"p": CANARY}}), "values": f"password={CANARY}"}), ("token_chain", SHOP, {"steps": CANARY, "values": f"a={CANARY}"}),
    ("oauth1", SHOP, {"consumer_key": "k", "consumer_secret": CANARY, "token": "t", "token_secret": CANARY, "private_key": CANARY}), ("hmac_signature", SHOP, {"key_secret": CANARY, "key_id": "k"}),
    ("aws_sigv4", SHOP, {"access_key_id": "AKIA", "secret_access_key": CANARY, "session_token": CANARY}), ("ntlm", SHOP, {"username": "u", "password": CANARY}), ("digest", SHOP, {"username": "u", "password": CANARY}),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "url", "fields"), SECRETS, ids=[one[0] for one in SECRETS])
def test_nothing_shows_a_secret(site: Site, scheme: str, url: str, fields: dict[str, Any]) -> None:
    site.store.rows["acme__mine"] = Credential("acme", "mine", scheme, url, fields)
    shown = site.credentials.show(site.who("stan"), "acme", "mine")
    assert shown.scheme == scheme
    assert any(shown.given.values())
    text = (
        str(shown)
        + str(asdict(shown))
        + str(site.credentials.every(site.who("root"), None))
        + str(Found("x", site.store.rows["acme__mine"]))
    )
    assert CANARY not in text
    for ask in (
        lambda: site.edit("mine", nonsense=CANARY),
        lambda: site.add("more", SHOP, "basic", usernam=CANARY),
        lambda: site.credentials.test(site.who("stan"), "acme", "nowhere"),
    ):
        with pytest.raises(ConfigError) as refused:
            ask()
        assert CANARY not in str(refused.value)
    assert CANARY not in str(list(site.audit.lines()))


@pytest.mark.parametrize(
    ("project", "name"),
    [("acme", "a__b"), ("acme", "Shop"), ("acme", "../x"), ("acme", "shop\n"), ("acme", ""), ("acme", "shоp"), ("acme", "x" * 65), ("acme", "a/b"), ("acme", "a%5f"), ("Acme", "shop"), ("integrator", "shop"), ("acme__x", "shop"), ("", "shop")],
)  # fmt: skip
def test_a_name_that_is_none_is_refused_whatever_is_asked(site: Site, project: str, name: str) -> None:
    c, who, before = site.credentials, site.who("root"), dict(site.store.rows)
    for ask in (
        lambda: c.show(who, project, name), lambda: c.add(who, project, name, "none", SHOP, {}), lambda: c.edit(who, project, name, {}),
        lambda: c.remove(who, project, name), lambda: c.test(who, project, name),
    ):  # fmt: skip
        with pytest.raises(FieldsError, match="small letters"):
            ask()
    assert site.store.rows == before


def test_faults_are_told_field_by_field(site: Site) -> None:
    def faults(*words: Any, **fields: Any) -> dict[str, str]:
        with pytest.raises(FieldsError) as refused:
            site.add(*words, **fields)
        return refused.value.faults

    assert "did you mean 'basic'" in faults("x", SHOP, "basc")["scheme"]
    assert list(faults("x", SHOP, "basic", passwrd="1", usr="2")) == ["fields.passwrd", "fields.usr"]
    assert "did you mean 'password'" in faults("x", SHOP, "basic", username="u", passwrd="1")["fields.passwrd"]
    assert "fields.username" in faults("x", SHOP, "basic")
    with pytest.raises(ConfigError, match="already"):
        site.add("shop", SHOP)
    with pytest.raises(CredentialMissingError):
        site.edit("nowhere", username="x")
    with pytest.raises(CredentialMissingError):
        site.credentials.remove(site.who("stan"), "acme", "nowhere")


def test_a_credential_is_kept_within_what_its_project_wants(site: Site) -> None:
    site.wants = Wants(egress=("shop.example.com",), production=True)
    shown = {one.name: one.fault for one in site.credentials.every(site.who("stan"), "acme")}
    assert shown["shop"] is None
    assert "egress list" in str(shown["erp"])
    with pytest.raises(ConfigError, match="egress list"):
        site.add("two", "https://erp.example.com:8443")
    with pytest.raises(ConfigError, match="production project"):
        site.add("two", SHOP, plain_http=True)
    assert site.add("two", SHOP)


def test_one_is_tried_and_removed_with_a_word_to_whoever_remembers(site: Site, system: System) -> None:
    site.add("there", system.url, who="ada", plain_http=True)
    with pytest.raises(NotAMemberError):
        site.credentials.test(site.who("nora"), "acme", "there")
    assert not system.calls
    assert site.last() == ("credential.test", "acme/there", "refused")
    tried = site.credentials.test(site.who("stan"), "acme", "there")
    assert system.calls
    assert (next(site.audit.lines()).line.detail["works"], site.last()[0]) == (tried.ok, "credential.test")
    site.credentials.remove(site.who("stan"), "acme", "there")
    assert site.removed == [("acme", "there", "stan")]
    assert "acme__there" not in site.store.rows


def test_one_that_a_person_has_to_sign_in_for_says_so(site: Site) -> None:
    fields = {**OAUTH, "grant": "authorization_code", "token_url": "/t", "authorize_url": "https://shop.example.com/a"}
    site.store.rows["acme__mine"] = Credential("acme", "mine", "oauth2", SHOP, fields)
    shown = site.credentials.show(site.who("stan"), "acme", "mine")
    assert shown.state == NOBODY_YET, shown.fault
