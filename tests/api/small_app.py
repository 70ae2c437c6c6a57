"""An app with our handlers, keys and middleware around routes that do what a test needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from recsvc.api.auth import install_auth, require
from recsvc.api.errors import InvalidParameter, ItemUnknown, ServiceNotReady, install_error_handlers
from recsvc.api.middleware import install_middleware
from recsvc.api.strict_json import StrictJSONRoute
from recsvc.bundle.errors import BundleCorrupt, BundleError, FormatUnsupported, NothingToRollBackTo, VersionUnknown
from recsvc.settings import Settings
from recsvc.store.errors import StoreUnavailable
from recsvc.telemetry import Telemetry

RAISED: dict[str, Exception] = {
    "item": ItemUnknown("v1"),
    "parameter": InvalidParameter("#/query/cursor", "is not one of ours"),
    "not-ready": ServiceNotReady("no model yet", 7),
    "version": VersionUnknown("20260101T000000Z-000000"),
    "corrupt": BundleCorrupt(Path("/secret/models/20260101T000000Z-000000/gram.npy"), "is missing"),
    "format": FormatUnsupported("bundle format 9"),
    "rollback": NothingToRollBackTo("no earlier champion"),
    "bundle": BundleError("a kind that nobody foresaw: /secret/path"),
    "store": StoreUnavailable("redis://secret-host is down"),
    "bug": ZeroDivisionError("secret arithmetic"),
}


class One(BaseModel):
    user_id: str
    limit: int = 20
    weight: float = 1.0


class Many(BaseModel):
    requests: list[One]


def small_app(telemetry: Telemetry | None = None, **settings: Any) -> FastAPI:
    chosen = Settings(**settings)
    app = FastAPI()
    install_error_handlers(app)
    install_auth(app, chosen)
    install_middleware(app, chosen, telemetry or Telemetry())
    router = APIRouter(route_class=StrictJSONRoute)

    @router.get("/raise/{name}")
    async def raising(name: str) -> None:
        raise RAISED[name]

    @router.get("/half")
    async def half() -> StreamingResponse:
        async def chunks() -> Any:
            yield b"half an "
            raise ZeroDivisionError("secret arithmetic")

        return StreamingResponse(chunks())

    @router.get("/users/{user_id}")
    async def user(
        user_id: Annotated[str, PathParameter(max_length=8)],
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        category: Annotated[list[str], Query(max_length=3)] = [],  # noqa: B006
    ) -> dict[str, Any]:
        return {"user_id": user_id, "limit": limit, "category": category}

    @router.post("/batch")
    async def batch(body: Many) -> int:
        return len(body.requests)

    @router.get("/scoped/{name}", dependencies=[Depends(require("read"))])
    async def scoped(name: str) -> str:
        return name

    @router.get("/admin", dependencies=[Depends(require("admin"))])
    async def admin() -> str:
        return "admin"

    app.include_router(router)
    return app
