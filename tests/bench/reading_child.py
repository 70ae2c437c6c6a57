"""The measured process of `tests.bench.reading`: loads one file and says on standard output what it took."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main(path: Path, rejects: Path) -> None:
    """Loads `path`; prints wall seconds, peak bytes, and how many events there were."""
    started = time.perf_counter()
    from training.sources.load import load  # here, because its time is measured apart

    imported = time.perf_counter()
    dataset = load(
        str(path), data_dir=path.parent, columns={}, catalogue=None, max_reject_share=0.01, rejects_path=rejects
    )
    done = time.perf_counter()
    result = {
        "seconds": done - imported,
        "import_seconds": imported - started,
        "peak_bytes": peak_bytes(),
        "events": len(dataset.events),
        "rejected": dataset.rejects.total,
    }
    print(json.dumps(result))


def peak_bytes() -> int:
    """The most memory this process had resident.

    Linux's ru_maxrss starts from what the parent held when it forked, which is not ours; /proc has our own peak.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
