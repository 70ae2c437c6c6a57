"""uvicorn's HTTP protocol with the head and the body of an answer in one write: one system call, and one packet."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PATIENCE_SECONDS: Final = 1.0
"""So long a connection that nothing is under way on has for the head of one more request when the process ends."""


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

    A connection that waits for a request when the process ends still has one answered: a client that was just let in,
    or that sends one after another, is sending already and would find it closed instead of an answer.
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
        if self._waits():
            self._leaving = True
            self.loop.call_later(_PATIENCE_SECONDS, self._leave)
        else:
            super().shutdown()

    def _leave(self) -> None:
        if self._waits() and not self.transport.is_closing():
            self.transport.close()

    def _waits(self) -> bool:
        return self.cycle is None or self.cycle.response_complete
