"""What changing a user raises."""

from __future__ import annotations


class UserBusy(Exception):  # noqa: N818
    """Others kept changing the user, or merging users, at the same time; the change was not made."""


class MergeIntoItself(Exception):  # noqa: N818
    """A user cannot be merged into the same user."""


class MergeRefused(Exception):  # noqa: N818
    """The user was merged into somebody else before, or the other one into this user."""
