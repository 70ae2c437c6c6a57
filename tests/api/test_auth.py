from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from recsvc.api.auth import Keyring, require
from recsvc.api.errors import Forbidden, Unauthorized
from recsvc.credentials import parse_api_keys
from recsvc.settings import Settings
from tests.api.small_app import small_app
from tests.http_server import serving

Serve = Callable[[FastAPI], httpx.Client]
READER, WRITER, ADMIN = "reader-0123456789", "writer-0123456789", "admin-0123456789="
KEYS = f"{READER}:read {WRITER}:events,experiments {ADMIN}:admin"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(small_app(api_keys=KEYS)) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestRoutes:
    def test_the_scope_lets_in(self, client: httpx.Client) -> None:
        assert client.get("/scoped/x", headers=bearer(READER)).json() == "x"

    def test_admin_implies_the_others(self, client: httpx.Client) -> None:
        assert client.get("/scoped/x", headers=bearer(ADMIN)).status_code == 200
        assert client.get("/admin", headers=bearer(ADMIN)).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            bearer("unknown-0123456789"),
            bearer(READER[:-1]),
            bearer(READER + "x"),
            {"Authorization": READER},
            {"Authorization": f"Basic {READER}"},
            {"Authorization": "Bearer"},
            {"Authorization": b"Bearer \xff\xfe"},
        ],
    )
    def test_without_a_known_key_it_is_401_with_a_challenge(
        self, client: httpx.Client, headers: dict[str, Any]
    ) -> None:
        response = client.get("/scoped/x", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["content-type"] == "application/problem+json"
        assert READER not in response.text

    def test_a_key_without_the_scope_is_403_naming_it(self, client: httpx.Client) -> None:
        response = client.get("/scoped/x", headers=bearer(WRITER))
        assert response.status_code == 403
        assert "'read'" in response.json()["detail"]
        assert 'scope="read"' in response.headers["www-authenticate"]
        assert client.get("/admin", headers=bearer(READER)).status_code == 403

    def test_the_key_is_checked_before_the_parameters(self, client: httpx.Client) -> None:
        assert client.get("/scoped/x?limit=many").status_code == 401

    def test_without_keys_everybody_is_let_in(self, serve: Serve) -> None:
        client = serve(small_app())
        assert client.get("/admin").status_code == 200
        assert client.get("/admin", headers=bearer("whatever")).status_code == 200

    def test_openapi_says_that_a_key_is_sent_as_a_bearer_token(self) -> None:
        document = small_app().openapi()
        assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
        assert document["paths"]["/admin"]["get"]["security"] == [{"HTTPBearer": []}]


class TestKeyring:
    def test_the_scheme_may_be_of_any_case_and_spaces_around_the_key_do_not_count(self) -> None:
        Keyring(parse_api_keys(KEYS)).authorise(f"bEARER   {READER} ", "read")

    def test_an_empty_key_is_no_key(self) -> None:
        with pytest.raises(Unauthorized, match="not of the form"):
            Keyring(parse_api_keys(KEYS)).authorise("Bearer ", "read")

    def test_keys_of_the_file_count(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(f"{READER}:read\n")
        keyring = Keyring.from_settings(Settings(api_keys_file=file))
        keyring.authorise(f"Bearer {READER}", "read")
        with pytest.raises(Unauthorized):
            keyring.authorise(f"Bearer {ADMIN}", "read")

    def test_each_key_has_its_own_scopes_whatever_their_order(self) -> None:
        for entries in (KEYS.split(), KEYS.split()[::-1]):
            keyring = Keyring(parse_api_keys(" ".join(entries)))
            keyring.authorise(f"Bearer {WRITER}", "experiments")
            with pytest.raises(Forbidden):
                keyring.authorise(f"Bearer {READER}", "experiments")

    def test_it_does_not_keep_the_keys_themselves(self) -> None:
        assert READER not in repr(vars(Keyring(parse_api_keys(KEYS))))

    def test_a_route_cannot_ask_for_a_scope_that_does_not_exist(self) -> None:
        with pytest.raises(ValueError, match="unknown scope 'reed'"):
            require("reed")
