"""What the store raises."""

from __future__ import annotations


class StoreUnavailable(Exception):  # noqa: N818
    """Redis is down, too slow, or refused the command; the caller goes on without it and says so."""


class MergeCircle(StoreUnavailable):
    """Users were merged into each other; `users` in the order of the way. A merge of theirs, sent again, unties it."""

    def __init__(self, users: tuple[str, ...]) -> None:
        super().__init__(f"users {' and '.join(map(repr, users))} were merged into each other; send their merge again")
        self.users = users


class EmbeddedRedisFailed(Exception):  # noqa: N818
    """The private redis-server cannot be started; the message has the reason and the end of its log."""


class DirectoryInUse(Exception):  # noqa: N818
    """Another process holds the lock of the directory; the message names both."""
