"""What can be wrong with a bundle or the registry."""

from __future__ import annotations

from pathlib import Path


class BundleError(Exception):
    """Root of the bundle's errors."""


class BundleCorrupt(BundleError):  # noqa: N818
    """A file of the bundle is missing, truncated, altered or inconsistent. `path` names it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path.parent.name}/{path.name}: {reason}; the bundle is refused: publish it again or choose another"
        )
        self.path = path
        self.reason = reason


class FormatUnsupported(BundleError):  # noqa: N818
    """The bundle's format version is not one that this release reads."""


class VersionUnknown(BundleError):  # noqa: N818
    """The registry holds no such version."""

    def __init__(self, version: str) -> None:
        super().__init__(f"the registry has no model version {version!r}; `make models` lists those it has")
        self.version = version


class NothingToRollBackTo(BundleError):  # noqa: N818
    """No earlier champion is on record, or its bundle was pruned."""
