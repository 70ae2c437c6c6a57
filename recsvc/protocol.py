"""uvicorn's HTTP protocol with the head and the body of an answer in one write: one system call, and one packet."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PATIENCE_SECONDS: Final = 1.0
"""So long a connection that nothing is under way on has for the head of one more request when the process ends."""
_STALLED_SECONDS: Final = 30.0
"""A client that takes nothing for so long of what waits for it is given up."""


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
    or that sends one after another, is sending already and would find it closed instead of an answer. One whose client
    asks and does not read is dropped: its requests would count as under way for good, and others be refused for them.
    """

    _leaving = False
    _watch: asyncio.TimerHandle | None = None

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

    def pause_writing(self) -> None:
        """More waits for the client than shall."""
        super().pause_writing()
        self._watch_until_less_than(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client reads."""
        self._watch_no_more()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._watch_no_more()
        super().connection_lost(exc)

    def _watch_until_less_than(self, waiting: int) -> None:
        self._watch_no_more()
        self._watch = self.loop.call_later(_STALLED_SECONDS, self._drop_if_stalled, waiting)

    def _watch_no_more(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _drop_if_stalled(self, waited: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting < waited:
            self._watch_until_less_than(waiting)
        else:
            self.transport.abort()

    def _leave(self) -> None:
        if self._waits() and not self.transport.is_closing():
            self.transport.close()

    def _waits(self) -> bool:
        return self.cycle is None or self.cycle.response_complete
