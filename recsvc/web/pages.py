"""The demo page at `/` and its files. No build, nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

router = APIRouter(include_in_schema=False)

_HEADERS: Final = {
    # Scripts, styles and calls of our own origin only; no plug-in, frame, form or inline code.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/")
async def page() -> Response:
    """The page."""
    return _file("index.html", "text/html; charset=utf-8")


@router.get("/web/feed.js")
async def script() -> Response:
    """Its script."""
    return _file("feed.js", "text/javascript; charset=utf-8")


@router.get("/web/track.js")
async def tracking() -> Response:
    """The part of it that sends events."""
    return _file("track.js", "text/javascript; charset=utf-8")


@router.get("/web/feed.css")
async def style() -> Response:
    """Its style."""
    return _file("feed.css", "text/css; charset=utf-8")


def _file(name: str, media_type: str) -> Response:
    return Response(files("recsvc.web").joinpath(name).read_bytes(), headers=_HEADERS, media_type=media_type)
