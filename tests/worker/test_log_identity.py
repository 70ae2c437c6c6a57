"""The name of a log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from recsvc.worker.log_identity import _identity
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    _identity(Path(sys.argv[1]))
except OSError:
    sys.exit(7)
"""


def test_full_disk_leaves_no_half_written_name(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-B", "-c", _ON_A_FULL_DISK, str(tmp_path)], check=False)

    assert ended.returncode == 7
    assert list(tmp_path.iterdir()) == []
