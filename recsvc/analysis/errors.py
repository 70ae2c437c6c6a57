"""Why an analysis is refused."""

from __future__ import annotations


class AnalysisRefused(Exception):  # noqa: N818
    """What was asked for cannot be answered honestly from what there is; the message says what is missing."""


class DefinitionInvalid(AnalysisRefused):
    """The definition of an experiment is wrong; the message names the field."""


class SupportMissing(AnalysisRefused):
    """The logged policy never tried enough of what the other policy would do."""
