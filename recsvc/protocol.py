"""uvicorn's HTTP protocol with the head and the body of an answer in one write: one system call, and one packet."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PATIENCE_SECONDS: Final = 1.0
"""So long a new connection has for the head of its request when the process ends."""


class JoiningTransport:
    """A transport that keeps what was written last until more is written, or the event loop turns."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: bytes | None = None
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes the two chunks together, or keeps the first."""
        if self._kept is None:
            self._kept = data
            self._loop.call_soon(self._flush)
        else:
            self._kept += data
            self._flush()

    def close(self) -> None:
        """Writes what was kept, and closes."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._kept is not None:
            kept, self._kept = self._kept, None
            # uvloop raises where the client has gone and nobody was told yet.
            if not self._transport.is_closing():
                self._transport.write(kept)


class JoiningProtocol(HttpToolsProtocol):
    """uvicorn hands out the head as soon as it is known; here it waits for the body, which mostly comes at once.

    A connection that is new when the process ends still has its one request answered: its client has just been let in,
    and is sending.
    """

    _leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]

    def on_headers_complete(self) -> None:
        """A request begins."""
        super().on_headers_complete()
        if self._leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The process ends: closes the connection, once the request under way or about to come is answered."""
        if self.cycle is None:
            self._leaving = True
            self.loop.call_later(_PATIENCE_SECONDS, self._leave)
        else:
            super().shutdown()

    def _leave(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
