"""The service's settings: `RECSVC_*` variables, and a file of them that `RECSVC_ENV_FILE` names."""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from redis.asyncio.connection import parse_url

from recsvc.credentials import ApiKey, parse_api_keys, parse_token_keys

PREFIX: Final = "RECSVC_"
ENV_FILE_VARIABLE: Final = "RECSVC_ENV_FILE"
OTHER_VARIABLES: Final[frozenset[str]] = frozenset({ENV_FILE_VARIABLE, "RECSVC_DATA_DIR"})
"""Variables with our prefix that are no setting of the service: training reads the data directory."""


class SettingsInvalid(Exception):  # noqa: N818
    """The service cannot start with these settings. `problems` has one "RECSVC_NAME: what is wrong" line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """Validated once at start, frozen, and passed to whoever needs a value.

    `load_settings()` is the way in for a process; `Settings(...)` takes fields by name in tests, the rest coming from
    the environment. Values never appear in validation errors, and secrets never in `repr`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    """Address to listen on; another than loopback needs API keys."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """TCP port to listen on; 0 takes a free one."""

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that answer."""

    redis_url: Annotated[str | None, Field(repr=False)] = None
    """`redis://`, `rediss://` or `unix://` address of the Redis to use; unset: a private one is started."""

    state_dir: Path = Path("var/state")
    """Directory of what the service keeps: the private Redis, receipts, metrics of the workers."""

    models_dir: Path = Path("models")
    """The registry: the directory of bundles."""

    experiments_file: Path | None = None
    """TOML file of experiments; they cannot be changed over HTTP."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages that are logged."""

    log_format: Literal["plain", "json"] = "plain"
    """Lines for people, or one JSON object a line."""

    api_keys: SecretStr | None = None
    """API keys: `<key>:<scope>[,<scope>...]` entries between white space."""

    api_keys_file: Path | None = None
    """File of such entries, read beside `api_keys`."""

    token_keys: SecretStr | None = None
    """Keys of the recommendation tokens; the first signs, all verify. Unset: one is made in the state directory."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may call the service, between commas; `*` for any."""

    cache_ttl_seconds: Annotated[int, Field(ge=1, le=86_400)] = 600
    """How long a cached list of recommendations lives."""

    new_items_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 10.0
    """How old a cached list may be and still lack items that came since; then it is computed again."""

    kept_answers_megabytes: Annotated[int, Field(ge=0, le=65_536)] = 64
    """Memory of each worker for answers that can be sent again as they are; 0: none are kept."""

    max_requests_in_progress: Annotated[int, Field(ge=8, le=100_000)] = 256
    """Requests that a worker answers at the same time, kept answers aside; further ones are answered 503 at once."""

    max_computations: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Recommendations that a worker makes at the same time, those that wait for a thread included; then 503."""

    redis_timeout_milliseconds: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Longest wait for one Redis round trip, connecting and queueing included; then the answer goes without."""

    event_timeout_milliseconds: Annotated[int, Field(ge=10, le=60_000)] = 2_000
    """Longest wait for Redis to have events on its disk; then the call is answered 503 and may be sent again."""

    event_workers: Annotated[int, Field(ge=0, le=64)] = 1
    """Processes, started with the service, that write events to the log; 0: they run elsewhere (`make worker`)."""

    max_unwritten_events: Annotated[int, Field(ge=256, le=1_000_000_000)] = 1_000_000
    """Events that may wait in Redis for a worker, shared evenly among the partitions; then events are answered 503."""

    log_flush_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 5.0
    """How long an event waits at most before a worker writes it to the log."""

    live_poll_seconds: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.2
    """How often a process looks for changes of items and for erasures."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 1_048_576
    """Largest request body; a larger one is answered 413."""

    champion_poll_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 0.5
    """How often a worker looks whether another bundle was promoted."""

    compute_threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads of a worker that compute answers the cache does not have."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, separator, host = origin.partition("://")
            whole = separator and scheme in {"http", "https"} and host and not set(host) & set("/?#@ ")
            if origin != "*" and not whole:
                raise ValueError(f"{origin!r} is not an origin; write scheme://host[:port] without a path, or *")
        return origins

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                parse_url(url)
            except ValueError as exc:
                # The cause may quote the URL, and with it a password.
                raise ValueError(
                    "is not a Redis address; write redis://[user:password@]host[:port][/db] or unix:///path"
                ) from exc
        return url

    @field_validator("api_keys")
    @classmethod
    def _check_api_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_api_keys(value.get_secret_value())
        return value

    @field_validator("token_keys")
    @classmethod
    def _check_token_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_token_keys(value.get_secret_value())
        return value

    @field_validator("api_keys_file")
    @classmethod
    def _check_api_keys_file(cls, path: Path | None) -> Path | None:
        if path is not None and not parse_api_keys(_read_keys(path)):
            raise ValueError(f"{path} holds no key; write <key>:<scope>[,<scope>...] entries, or unset it")
        return path

    @model_validator(mode="after")
    def _loopback_or_keys(self) -> Self:
        entries = self.api_key_entries()
        if len({entry.key for entry in entries}) < len(entries):
            raise ValueError("RECSVC_API_KEYS_FILE: repeats a key of RECSVC_API_KEYS; keep it in one place")
        if not entries and not is_loopback(self.host):
            raise ValueError(
                f"RECSVC_HOST: {self.host!r} is reachable from other machines, and no API key is configured; "
                "set RECSVC_API_KEYS or RECSVC_API_KEYS_FILE, or listen on 127.0.0.1"
            )
        return self

    def api_key_entries(self) -> tuple[ApiKey, ...]:
        """The configured keys, those of the file read from it now; empty when none is configured."""
        entries = () if self.api_keys is None else parse_api_keys(self.api_keys.get_secret_value())
        return entries if self.api_keys_file is None else entries + parse_api_keys(_read_keys(self.api_keys_file))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; a name other than localhost is taken for reachable."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the variables of `environ` (of the process by default) and of the file it names; variables win.

    Raises `SettingsInvalid` for an unknown `RECSVC_*` variable, a missing file, or a value that does not validate.
    """
    variables = _with_file(os.environ if environ is None else environ)
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    unknown = sorted(set(variables) - set(known) - OTHER_VARIABLES)
    if unknown:
        raise SettingsInvalid([_unknown_line(name, [*known, *OTHER_VARIABLES]) for name in unknown])
    # A variable that is set to nothing, as compose files do, is not set.
    values: dict[str, Any] = {known[name]: text for name, text in variables.items() if name in known and text}
    try:
        return Settings(**values)
    except ValidationError as exc:
        raise SettingsInvalid([_problem_line(error) for error in exc.errors(include_url=False)]) from None


def _with_file(environ: Mapping[str, str]) -> dict[str, str]:
    merged: dict[str, str] = {}
    if named := environ.get(ENV_FILE_VARIABLE):
        path = Path(named)
        if not path.is_file():
            raise SettingsInvalid([f"{ENV_FILE_VARIABLE}: there is no file {path}; correct the path or unset it"])
        try:
            read = dotenv_values(path, interpolate=False)
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsInvalid([f"{ENV_FILE_VARIABLE}: cannot read {path}: {exc}"]) from exc
        merged.update({name: value or "" for name, value in read.items() if name.startswith(PREFIX)})
    merged.update({name: value for name, value in environ.items() if name.startswith(PREFIX)})
    return merged


def _read_keys(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ValueError(f"cannot read {path}: {reason}") from exc


def _unknown_line(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else "; docs/settings.md lists those there are"
    return f"{name}: there is no such setting{hint}"


def _problem_line(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:  # a rule over several settings, whose message names the variable
        return message
    return f"{PREFIX}{str(error['loc'][0]).upper()}: {message}"
