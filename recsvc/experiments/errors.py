"""What experiments refuse. The API maps each to a status once."""

from __future__ import annotations


class ExperimentError(Exception):
    """Root of the errors of experiments."""


class ExperimentUnknown(ExperimentError):  # noqa: N818
    """There is no experiment of that key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no experiment {key!r}; GET /v1/experiments lists those there are")


class ChangeRefused(ExperimentError):  # noqa: N818
    """The experiment is in a state in which this cannot be done; the message says what can."""


class ChangedMeanwhile(ExperimentError):  # noqa: N818
    """The experiment is not the one that the caller had read."""

    def __init__(self, key: str) -> None:
        super().__init__(f"experiment {key!r} was changed meanwhile; read it again, and send the change made to that")


class TooMany(ExperimentError):  # noqa: N818
    """There are as many experiments as there may be."""


class FileInvalid(ExperimentError):  # noqa: N818
    """The file of experiments cannot be used; the message names file, table and field."""
