"""What opens when the app starts, and closes in reverse order when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import faiss
from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from recsvc.api.dependencies import Service
from recsvc.bundle.registry import Registry
from recsvc.catalog.bundled import bundled_item
from recsvc.catalog.feed import LiveFeed
from recsvc.catalog.items import ItemCatalogue
from recsvc.catalog.live import LiveItem
from recsvc.credentials import parse_token_keys
from recsvc.events.intake import EventIntake
from recsvc.events.schema import EVENT_TYPES
from recsvc.experiments.analyses import Analyses
from recsvc.experiments.definition import Experiment
from recsvc.experiments.directory import Experiments
from recsvc.experiments.file import read_experiments
from recsvc.experiments.live import LiveExperiments
from recsvc.experiments.targeting import Traits
from recsvc.experiments.written import DefinitionFiles
from recsvc.serving.cache import CandidateCache
from recsvc.serving.computing import Computing
from recsvc.serving.experimenting import Experimenting, TraitsOf
from recsvc.serving.kept import KeptAnswers
from recsvc.serving.models import ModelPool
from recsvc.serving.recommender import Recommender
from recsvc.settings import Settings
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.embedded import EmbeddedRedis
from recsvc.store.erasing import Erasing
from recsvc.store.event_store import EventStore
from recsvc.store.experiment_store import ExperimentStore
from recsvc.store.merge_depth import longest_way
from recsvc.store.merge_lock import MergeLock
from recsvc.store.merging import Merging
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.profiles import Profiles
from recsvc.store.sequences import Sequences
from recsvc.store.user_state import UserState
from recsvc.telemetry import Telemetry
from recsvc.tokens import TokenSigner, load_or_create_key
from recsvc.users.directory import Users
from recsvc.users.erasure import UserErasure
from recsvc.users.merge import UserMerge
from recsvc.users.profiles import UserProfiles, from_json

Clock = Callable[[], float]
"""Unix seconds: what answers, tokens, events and lists go by. Redis has its own, and so have time limits."""


def lifespan_of(
    settings: Settings, telemetry: Telemetry, clock: Clock
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The lifespan of an app with these settings: `app.state.service` is there while it lasts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            app.state.service = await _open(settings, telemetry, clock, opened)
            yield
        # The framework keeps every app of a process for good: the models, and their files, shall not stay open with it.
        del app.state.service

    return lifespan


async def _open(settings: Settings, telemetry: Telemetry, clock: Clock, opened: AsyncExitStack) -> Service:
    url = await _redis_url(settings, opened)
    redis = _connected(url, settings.redis_timeout_milliseconds, opened)
    # What changes something waits longer than what only reads: it must be on Redis' disk before it is acknowledged.
    patient = _connected(url, settings.event_timeout_milliseconds, opened)
    live = LiveFeed(patient, settings.state_dir, settings.live_poll_seconds)
    opened.push_async_callback(live.close)
    await live.start()
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
        items=live.items,
        erasures=live.erasures,
    )
    opened.push_async_callback(pool.close)
    store = ExperimentStore(patient)
    files = DefinitionFiles(settings.state_dir)
    running = LiveExperiments(store, await _fixed_experiments(settings), settings.live_poll_seconds, pool, files)
    opened.push_async_callback(running.close)
    await running.start()
    await pool.start()
    reading = ScriptPipeline(redis)
    opened.push_async_callback(reading.aclose)
    state = UserState(reading, EVENT_TYPES, list_ttl_seconds=settings.cache_ttl_seconds)
    cache = CandidateCache(state, telemetry, new_items_seconds=settings.new_items_seconds)
    opened.push_async_callback(cache.close)
    signer = TokenSigner(await asyncio.to_thread(_token_keys, settings))
    experimenting = Experimenting(pool, lambda: running.assigner, _traits(reading), telemetry, clock)
    computing = Computing(executor, telemetry, most=settings.max_computations)
    recommender = Recommender(pool, cache, signer, computing, telemetry, clock, lambda: live.ready, experimenting)
    opened.push_async_callback(recommender.close)
    writing = ScriptPipeline(patient)
    opened.push_async_callback(writing.aclose)
    events = EventStore(writing, max_unwritten_events=settings.max_unwritten_events)
    intake = EventIntake(events, signer, telemetry)
    users = _users(settings, patient, writing, events, live, pool, clock)
    analyses = Analyses(settings.state_dir)
    opened.push_async_callback(analyses.close)
    sequences = Sequences(redis)
    opened.push_async_callback(sequences.aclose)
    kept = KeptAnswers(
        cache,
        lambda: (pool.active, running.assigner),
        max_bytes=settings.kept_answers_megabytes * 1_000_000,
        life_seconds=settings.cache_ttl_seconds,
    )
    return Service(
        settings=settings,
        clock=clock,
        telemetry=telemetry,
        redis=redis,
        pool=pool,
        recommender=recommender,
        live=live,
        catalogue=_catalogue(live, pool, clock),
        intake=intake,
        users=users,
        sequences=sequences,
        kept=kept,
        experiments=Experiments(store, running, clock),
        analyses=analyses,
        experimenting=experimenting,
    )


async def _fixed_experiments(settings: Settings) -> list[Experiment]:
    path = settings.experiments_file
    return [] if path is None else await asyncio.to_thread(read_experiments, path)


def _traits(reading: ScriptPipeline) -> TraitsOf:
    profiles = Profiles(reading)

    async def traits_of(user_id: str) -> Traits:
        stored, sequence = await profiles.read(user_id)
        if stored is None:
            return Traits(sequence=sequence)
        profile = from_json(stored)
        return Traits(profile.attributes, profile.created_at, sequence)

    return traits_of


def _catalogue(live: LiveFeed, pool: ModelPool, clock: Clock) -> ItemCatalogue:
    def bundled(item_id: str) -> LiveItem | None:
        return None if pool.active is None else bundled_item(pool.active.bundle, item_id)

    return ItemCatalogue(live, bundled, clock)


def _users(
    settings: Settings,
    patient: RedisConnection,
    writing: ScriptPipeline,
    events: EventStore,
    live: LiveFeed,
    pool: ModelPool,
    clock: Clock,
) -> Users:
    def modelled(user_id: str) -> bool:
        if pool.active is None or live.erasures.hides(user_id, pool.active.bundle.manifest.erasures_applied_at):
            return False
        return pool.active.bundle.users.row_of(user_id) is not None

    async def way_to(user_id: str) -> int:
        return await longest_way(patient, user_id, await events.merged_ids(user_id))

    merging, profiles = Merging(writing), Profiles(writing)
    return Users(
        UserProfiles(profiles, merging, clock),
        UserMerge(merging, profiles, MergeLock(patient), way_to, clock),
        UserErasure(Erasing(writing), events.merged_ids, live, pool.registry, flush_seconds=settings.log_flush_seconds),
        UserState(writing, EVENT_TYPES, list_ttl_seconds=settings.cache_ttl_seconds),
        modelled,
    )


def _token_keys(settings: Settings) -> tuple[bytes, ...]:
    if settings.token_keys is not None:
        return parse_token_keys(settings.token_keys.get_secret_value())
    return (load_or_create_key(settings.state_dir / "token.key"),)


async def _redis_url(settings: Settings, opened: AsyncExitStack) -> str:
    url = settings.redis_url
    if url is None:
        # `python -m recsvc` starts it before the workers; an app made by hand gets one of its own.
        embedded = await asyncio.to_thread(EmbeddedRedis(settings.state_dir).start)
        opened.push_async_callback(asyncio.to_thread, embedded.stop)
        url = embedded.url
    return url


def _connected(url: str, timeout_milliseconds: int, opened: AsyncExitStack) -> RedisConnection:
    redis = connect(url, timeout_milliseconds=timeout_milliseconds)
    opened.push_async_callback(redis.aclose)
    return redis
