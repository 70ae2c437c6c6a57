"""The pages' templates and their common style."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template


def template_of(name: str) -> Template:
    """A template of this package; it escapes what it is given."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_text(name))


def page_style() -> str:
    """The style sheet that all pages carry with them."""
    return _text("page.css")


def _text(name: str) -> str:
    return files("training.report").joinpath(name).read_text("utf-8")
