"""The one way to Redis: bounded in time and in connections, behind a breaker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from recsvc.store.breaker import Breaker, BreakerState, Permit
from recsvc.store.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_CONNECTIONS: Final = 32
"""Of one process. A call that finds all in use waits for one, within its time-out."""

_GRACE_SECONDS: Final = 0.005


class RedisConnection:
    """A pool of connections to one Redis, for use from one event loop."""

    def __init__(self, client: Redis, *, timeout_milliseconds: int, breaker: Breaker) -> None:
        self._client = client
        self._timeout_seconds = timeout_milliseconds / 1000
        self._breaker = breaker

    @property
    def available(self) -> bool:
        """Whether calls are let through. Once Redis failed, only a call that gets through makes this true again."""
        return self._breaker.state is BreakerState.CLOSED

    async def run(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        """Awaits `call(client)`; waiting for a connection, connecting and the reply share the one time-out.

        Replies are bytes, not str. Raises `StoreUnavailable` for whatever Redis or the network did; arguments that
        Redis cannot encode are the caller's mistake and raise `redis.DataError`.
        """
        permit = self._breaker.permit()
        if permit is None:
            raise StoreUnavailable("Redis did not answer lately; the next attempt comes later")
        try:
            async with _deadline(self._timeout_seconds):
                result = await call(self._client)
        except (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError) as exc:
            self._failed(permit, exc)
            raise StoreUnavailable(f"Redis is not reachable: {exc or type(exc).__name__}") from exc
        except DataError:
            self._breaker.abandoned(permit)
            raise
        except RedisError as exc:
            # It answered, if only to refuse: waiting for it costs nothing, so the breaker stays closed.
            self._breaker.succeeded(permit)
            raise StoreUnavailable(f"Redis refused the command: {exc}") from exc
        except BaseException:
            self._breaker.abandoned(permit)
            raise
        self._breaker.succeeded(permit)
        return result

    def _failed(self, permit: Permit, exc: Exception) -> None:
        closed = self._breaker.state is BreakerState.CLOSED
        self._breaker.failed(permit)
        if closed and self._breaker.state is BreakerState.OPEN:
            logger.warning("Redis does not answer (%s); answers go without it until it does", type(exc).__name__)

    async def ping(self) -> bool:
        """Asks Redis now (unless the breaker is waiting): whether it answers. Never raises `StoreUnavailable`."""
        try:
            return bool(await self.run(lambda redis: redis.ping()))
        except StoreUnavailable:
            return False

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._client.aclose()


def connect(
    url: str,
    *,
    timeout_milliseconds: int,
    max_connections: int = MAX_CONNECTIONS,
    breaker: Breaker | None = None,
) -> RedisConnection:
    """Prepares the pool; no connection is made before the first call, so this cannot fail on a Redis that is down.

    RESP 2 and no greeting: the first command is the first byte sent, on Redis 6.2 and later alike.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=None,  # the deadline of `run` bounds the wait
        protocol=2,
        driver_info=None,
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),  # a retry would stretch the time-out
        health_check_interval=0,
    )
    return RedisConnection(
        Redis.from_pool(pool),
        timeout_milliseconds=timeout_milliseconds,
        breaker=breaker or Breaker(time.monotonic),
    )


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Raises `TimeoutError` after `seconds` of waiting.

    Where the event loop itself was busy over the deadline, a reply may lie unread in the socket: it is then read before
    the time-out strikes, so that a pause of our own is not taken for one of Redis.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    timer: asyncio.TimerHandle

    async with asyncio.timeout(None) as scope:

        def strike() -> None:
            if not scope.expired():
                scope.reschedule(loop.time())

        def check() -> None:
            nonlocal timer
            if loop.time() - due > _GRACE_SECONDS:
                timer = loop.call_later(_GRACE_SECONDS, strike)
            else:
                strike()

        timer = loop.call_at(due, check)
        try:
            yield
        finally:
            timer.cancel()
