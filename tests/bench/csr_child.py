"""The measured process of `tests.bench.csr`: events to the training matrix, with the defaults of training."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.bench.reading_child import peak_bytes
from training.config import load_config
from training.matrix import build_matrix
from training.sources.load import load


def main(folder: Path, rejects: Path) -> None:
    """Prints the seconds of both steps, peak bytes, and the numbers of events and of pairs."""
    config = load_config("generated", None)
    started = time.perf_counter()
    dataset = load(
        str(folder), data_dir=folder, columns={}, catalogue=None, max_reject_share=0.01, rejects_path=rejects
    )
    read, read_peak = time.perf_counter(), peak_bytes()
    events = dataset.events
    matrix = build_matrix(events, config.interactions.recipe(), float(events.timestamps.max()))
    done = time.perf_counter()
    result = {
        "read_seconds": read - started,
        "matrix_seconds": done - read,
        "read_peak_bytes": read_peak,
        "peak_bytes": peak_bytes(),
        "events": len(events),
        "pairs": int(matrix.confidence.nnz),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
