"""The pages' templates, with the style that all of them share."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template


def template_of(name: str, package: str = "training.report") -> Template:
    """A template of a package; it escapes what it is given, has the shared style as `style`, and refuses to leave out
    what it is not given."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = files(package).joinpath(name).read_text("utf-8")
    style = files("training.report").joinpath("page.css").read_text("utf-8")
    return environment.from_string(text, globals={"style": style})
