"""What the store raises."""

from __future__ import annotations


class StoreUnavailable(Exception):  # noqa: N818
    """Redis is down, too slow, or refused the command; the caller goes on without it and says so."""


class EmbeddedRedisFailed(Exception):  # noqa: N818
    """The private redis-server cannot be started; the message has the reason and the end of its log."""


class DirectoryInUse(Exception):  # noqa: N818
    """Another process holds the lock of the directory; the message names both."""
