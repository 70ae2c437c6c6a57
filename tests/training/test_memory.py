"""What is left of the memory: the smaller of what the machine and the container have."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import memory


def place(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> None:
    for name, constant in (("meminfo", "_MEMINFO"), ("limit", "_LIMIT"), ("used", "_USED")):
        monkeypatch.setattr(memory, constant, folder / name)
        if name in files:
            (folder / name).write_text(files[name])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"meminfo": "MemTotal: 9 kB\nMemAvailable:   7 kB\n"}, 7 * 1024),
        ({"meminfo": "MemAvailable: 7 kB\n", "limit": "max\n", "used": "1\n"}, 7 * 1024),
        ({"meminfo": "MemAvailable: 7 kB\n", "limit": "5000\n", "used": "1000\n"}, 4000),
        ({"limit": "500\n", "used": "1000\n"}, 0),
        ({}, None),
    ],
)
def test_the_smaller_of_machine_and_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    place(monkeypatch, tmp_path, **files)
    assert memory.available_memory() == expected
