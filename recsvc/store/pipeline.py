"""Script calls of concurrent requests, sent together: one round trip and one flush to disk for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias, cast

import hiredis
from redis.exceptions import NoScriptError, ResponseError

from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.store.exchange import Exchange
from recsvc.store.scripts import Script

Argument: TypeAlias = str | bytes | int
Call: TypeAlias = tuple[Script, Sequence[str], Sequence[Argument]]
"""Script, keys, arguments."""

MAX_IN_FLIGHT: Final = 3
"""Pipelines on their way at the same time. While that many are, calls gather for the next."""

MAX_COMMANDS: Final = 2_000
"""A pipeline takes no further group of calls from here on."""


_pack: Final = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)  # annotated for a single word


class _Group:
    """The calls that one caller waits for together."""

    __slots__ = ("calls", "done", "packed", "replies")

    def __init__(self, calls: list[Call], done: asyncio.Future[None]) -> None:
        self.calls = calls
        self.packed = [_packed(call) for call in calls]
        self.replies: list[Any] = []
        self.done = done

    def fail(self, reason: StoreUnavailable) -> None:
        if not self.done.done():
            # Each caller gets an exception of its own: a shared one would gather the tracebacks of all.
            failure = StoreUnavailable(str(reason))
            failure.__cause__ = reason
            self.done.set_exception(failure)
            self.done.exception()  # read, so that a caller that left in this moment is not reported as unnoticed


class ScriptPipeline:
    """Runs Lua scripts for many callers of one event loop, without transactions: each script is atomic by itself.

    A caller that is cancelled leaves the others unharmed; what it had sent may have been carried out.
    """

    def __init__(
        self, connection: RedisConnection, *, max_in_flight: int = MAX_IN_FLIGHT, max_commands: int = MAX_COMMANDS
    ) -> None:
        self._exchange = Exchange(connection)
        self._max_in_flight = max_in_flight
        self._max_commands = max_commands
        self._waiting: deque[_Group] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._sending = 0  # not the number of tasks: one that found nothing waiting counts no more before it is gone
        self._closed = False

    async def call(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """The script's reply, strings as bytes. Raises `StoreUnavailable`, also where Redis refused the script."""
        (reply,) = await self.call_all([(script, keys, arguments)])
        if isinstance(reply, ResponseError):
            raise _refused(reply)
        return reply

    async def call_many(self, calls: Iterable[Call]) -> list[Any]:
        """The replies of several scripts, in order. Raises `StoreUnavailable` where any was refused; the others may
        have been carried out."""
        replies = await self.call_all(calls)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise _refused(reply)
        return replies

    async def call_all(self, calls: Iterable[Call]) -> list[Any]:
        """As `call_many`, but a reply may be a `ResponseError`, where Redis refused that script."""
        if self._closed:
            raise StoreUnavailable("the connection to Redis is being closed")
        group = _Group(list(calls), asyncio.get_running_loop().create_future())
        if not group.calls:
            return []
        self._waiting.append(group)
        if self._sending < self._max_in_flight:
            self._sending += 1
            sender = asyncio.ensure_future(self._send_while_any_wait())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        await group.done
        return group.replies

    async def aclose(self) -> None:
        """Lets what is under way end, and refuses further calls."""
        self._closed = True
        await asyncio.gather(*self._senders)

    async def _send_while_any_wait(self) -> None:
        try:
            while groups := self._next_groups():
                await self._send(groups)
        finally:
            self._sending -= 1

    async def _send(self, groups: list[_Group]) -> None:
        try:
            await self._fill_in(groups)
        except StoreUnavailable as exc:
            for group in groups:
                group.fail(exc)
        except BaseException:
            for group in groups:
                group.done.cancel()
            raise
        for group in groups:
            if not group.done.done():
                group.done.set_result(None)

    async def _fill_in(self, groups: list[_Group]) -> None:
        """Gives the groups their replies."""
        replies = await self._exchange.replies([packed for group in groups for packed in group.packed])
        calls = [call for group in groups for call in group.calls]
        forgotten = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if forgotten:
            # Redis was started again: it has the data, not the scripts.
            scripts = {calls[at][0].sha: calls[at][0] for at in forgotten}
            loading = [_pack(("SCRIPT", "LOAD", script.text)) for script in scripts.values()]
            again = await self._exchange.replies(loading + [_packed(calls[at]) for at in forgotten])
            for at, reply in zip(forgotten, again[len(loading) :], strict=True):
                replies[at] = reply
        at = 0
        for group in groups:
            group.replies = replies[at : at + len(group.calls)]
            at += len(group.calls)

    def _next_groups(self) -> list[_Group]:
        groups: list[_Group] = []
        commands = 0
        while self._waiting and commands < self._max_commands:
            group = self._waiting.popleft()
            if not group.done.done():  # its caller may have left
                groups.append(group)
                commands += len(group.calls)
        return groups


def _packed(call: Call) -> bytes:
    script, keys, arguments = call
    return _pack(("EVALSHA", script.sha, len(keys), *keys, *arguments))


def _refused(error: ResponseError) -> StoreUnavailable:
    refused = StoreUnavailable(f"Redis refused the script: {error}")
    refused.__cause__ = error
    return refused
