"""The Lua scripts, and how they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script; `sha` is the name under which Redis keeps it."""

    name: str
    text: str
    sha: str


@cache
def load_script(name: str) -> Script:
    """The script of the file `<name>.lua`, read once. Where its first line is `-- with <other>`, that file comes before
    it: Redis has no modules."""
    text = files(__name__).joinpath(f"{name}.lua").read_text("utf-8")
    first, _, rest = text.partition("\n")
    if first.startswith("-- with "):
        text = "\n".join([load_script(other).text for other in first.split()[2:]] + [rest])
    return Script(name, text, hashlib.sha1(text.encode("utf-8"), usedforsecurity=False).hexdigest())
