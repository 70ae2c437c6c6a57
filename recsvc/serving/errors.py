"""What serving can refuse. The API maps each to a status once."""

from __future__ import annotations


class ServingError(Exception):
    """Root of the errors of serving."""


class NoModel(ServingError):  # noqa: N818
    """There is no champion in use: none was promoted yet, or the promoted one cannot be opened."""


class LiveDataMissing(ServingError):  # noqa: N818
    """It is not known yet which items are hidden and which users were erased."""

    def __init__(self) -> None:
        super().__init__(
            "neither Redis nor a snapshot has said yet which items are hidden and which users were erased; see /readyz"
        )


class Overloaded(ServingError):  # noqa: N818
    """As many lists are being computed as can be in time."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} lists are being computed already; send this request again after a second")


class GateRefused(ServingError):  # noqa: N818
    """The version did not pass its gate, and activation was not forced."""

    def __init__(self, version: str, message: str) -> None:
        super().__init__(
            f"model {version} did not pass its gate ({message}); activate it with force=true to use it all the same"
        )
        self.version = version


class ItemUnknown(ServingError):  # noqa: N818
    """No item of that id is in the model."""

    def __init__(self, item_id: str, version: str) -> None:
        super().__init__(f"no item {item_id!r} in model {version}; items of the sample are listed by /v1/lists/popular")
        self.item_id = item_id


class ParameterInvalid(ServingError):  # noqa: N818
    """A parameter that only serving can judge is wrong; `parameter` names it."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter
