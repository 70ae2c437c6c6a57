"""What opens when the app starts, and closes in reverse order when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import faiss
from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from recsvc.api.dependencies import Service
from recsvc.bundle.registry import Registry
from recsvc.credentials import parse_token_keys
from recsvc.serving.cache import CandidateCache
from recsvc.serving.models import ModelPool
from recsvc.serving.recommender import Recommender
from recsvc.tokens import TokenSigner, load_or_create_key
from recsvc.settings import Settings
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.embedded import EmbeddedRedis
from recsvc.store.recommendations import RecommendationCache
from recsvc.telemetry import Telemetry


def lifespan_of(settings: Settings, telemetry: Telemetry) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The lifespan of an app with these settings: `app.state.service` is there while it lasts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            app.state.service = await _open(settings, telemetry, opened)
            yield

    return lifespan


async def _open(settings: Settings, telemetry: Telemetry, opened: AsyncExitStack) -> Service:
    redis = await _redis(settings, opened)
    # One answer is too little work to share among threads: they would wait for each other longer than they compute.
    opened.enter_context(threadpool_limits(limits=1, user_api="blas"))
    executor = ThreadPoolExecutor(
        settings.compute_threads,
        thread_name_prefix="compute",
        initializer=faiss.omp_set_num_threads,  # OpenMP's number is one of each thread
        initargs=(1,),
    )
    opened.callback(executor.shutdown, wait=True, cancel_futures=True)
    pool = ModelPool(
        Registry(settings.models_dir),
        settings.state_dir / "receipts",
        telemetry,
        poll_seconds=settings.champion_poll_seconds,
    )
    opened.push_async_callback(pool.close)
    await pool.start()
    cache = CandidateCache(RecommendationCache(redis, settings.cache_ttl_seconds), telemetry)
    opened.push_async_callback(cache.close)
    signer = TokenSigner(await asyncio.to_thread(_token_keys, settings))
    recommender = Recommender(pool, cache, signer, executor, telemetry, time.time)
    opened.push_async_callback(recommender.close)
    return Service(settings, telemetry, redis, pool, recommender)


def _token_keys(settings: Settings) -> tuple[bytes, ...]:
    if settings.token_keys is not None:
        return parse_token_keys(settings.token_keys.get_secret_value())
    return (load_or_create_key(settings.state_dir / "token.key"),)


async def _redis(settings: Settings, opened: AsyncExitStack) -> RedisConnection:
    url = settings.redis_url
    if url is None:
        # `python -m recsvc` starts it before the workers; an app made by hand gets one of its own.
        embedded = await asyncio.to_thread(EmbeddedRedis(settings.state_dir).start)
        opened.push_async_callback(asyncio.to_thread, embedded.stop)
        url = embedded.url
    redis = connect(url, timeout_milliseconds=settings.redis_timeout_milliseconds)
    opened.push_async_callback(redis.aclose)
    return redis
