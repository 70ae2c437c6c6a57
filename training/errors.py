"""The pipeline's errors: each message names what, where and the remedy; the command exits with status 2."""

from __future__ import annotations


class TrainingError(Exception):
    """A run that cannot go on, through its input or settings. Root of the pipeline's errors."""


class DataMissing(TrainingError):  # noqa: N818
    """A file of the source is not there; says where its authors publish it."""


class DataInvalid(TrainingError):  # noqa: N818
    """The source cannot be used as it is; names the file, the line where one is known, and the remedy."""


class ConfigInvalid(TrainingError):  # noqa: N818
    """The run's TOML file has an unknown or wrong setting; names the setting."""
