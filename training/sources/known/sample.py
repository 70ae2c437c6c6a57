"""The sample community, generated where it is not there yet."""

from __future__ import annotations

import logging
from typing import Final

from training.sample.files import EVENTS_FILE, ITEMS_FILE, is_current, write
from training.sources.catalogue import read_catalogue
from training.sources.dataset import Dataset
from training.sources.parts import read_parts
from training.sources.request import Request

FOLDER: Final = "sample"
SEED: Final = 20261031


def read_sample(request: Request) -> Dataset:
    """The events and items below `sample/`, made anew when another seed or version of the generator made them."""
    folder = request.data_dir / FOLDER
    if not is_current(folder, SEED):
        logging.getLogger(__name__).info("sample: generating the community in %s", folder)
        write(folder, SEED, truth=True)
    table, files = read_parts(folder / EVENTS_FILE, {})
    items = folder / ITEMS_FILE
    return request.finish([*files, items], request.check(table), read_catalogue(items))
