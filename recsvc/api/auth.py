"""API keys with scopes, sent as `Authorization: Bearer <key>`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Final

from fastapi import FastAPI, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from recsvc.api.errors import Forbidden, OriginRefused, Unauthorized
from recsvc.credentials import SCOPES, ApiKey
from recsvc.settings import Settings

BEARER: Final = HTTPBearer(auto_error=False, description="An API key; needed only where keys are configured.")
"""For OpenAPI; the check itself is `Keyring.authorise`."""


class Keyring:
    """The keys' SHA-256 digests and scopes. Without any key it is open: settings see to it that this is on loopback."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._entries = [(_digest(key.key), key.scopes) for key in keys]

    @classmethod
    def from_settings(cls, settings: Settings) -> Keyring:
        """The keys of `RECSVC_API_KEYS` and of the file."""
        return cls(settings.api_key_entries())

    @property
    def open(self) -> bool:
        """Whether no key is needed."""
        return not self._entries

    def authorise(self, authorization: str | None, scope: str) -> None:
        """Checks the value of an Authorization header. Raises `Unauthorized`, or `Forbidden` naming the scope.

        Every key is compared, each in constant time, so the time taken tells nothing about the keys.
        """
        if not self._entries:
            return
        if not authorization:
            raise Unauthorized("send an API key in the header Authorization: Bearer <key>")
        scheme, _, presented = authorization.partition(" ")
        if scheme.lower() != "bearer" or not presented.strip():
            raise Unauthorized("the Authorization header is not of the form: Bearer <key>")
        wanted = _digest(presented.strip())
        granted: frozenset[str] = frozenset()
        for digest, scopes in self._entries:
            if hmac.compare_digest(digest, wanted):
                granted = scopes
        if not granted:
            raise Unauthorized("the API key is not known")
        if scope not in granted and "admin" not in granted:
            raise Forbidden(scope)


def refuse_other_origins(request: Request) -> None:
    """Where no key is needed, raises `OriginRefused` for a page of another origin that RECSVC_CORS_ORIGINS lacks.

    Without keys whoever reaches loopback is let in, and every page in a local browser does.
    """
    keyring: Keyring = request.app.state.keyring
    origin = request.headers.get("origin") if keyring.open else None
    if origin is None:
        return
    allowed: tuple[str, ...] = request.app.state.cors_origins
    same = origin.partition("://")[2] == request.headers.get("host")
    if not same and origin not in allowed and "*" not in allowed:
        raise OriginRefused(origin)


def install_auth(app: FastAPI, settings: Settings) -> None:
    """Puts the keyring where `require` finds it: `app.state.keyring`."""
    app.state.keyring = Keyring.from_settings(settings)
    app.state.cors_origins = settings.cors_origins


def require(scope: str) -> Callable[..., Awaitable[None]]:
    """A dependency that lets only keys of the scope through: `dependencies=[Depends(require("read"))]`."""
    if scope not in SCOPES:
        raise ValueError(f"unknown scope {scope!r}; the scopes are {', '.join(sorted(SCOPES))}")

    async def check(request: Request, _shown: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]) -> None:
        keyring: Keyring = request.app.state.keyring
        if request.method not in {"GET", "HEAD"}:
            refuse_other_origins(request)
        keyring.authorise(request.headers.get("authorization"), scope)

    return check


def authorise(request: Request, scope: str) -> None:
    """Checks another scope than the route's, for a parameter that needs one. Raises what `Keyring.authorise` raises."""
    keyring: Keyring = request.app.state.keyring
    keyring.authorise(request.headers.get("authorization"), scope)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
