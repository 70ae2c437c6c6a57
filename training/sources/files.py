"""Files as bytes: found plain, gzipped or zipped, decompressed, and fingerprinted."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from training.errors import DataInvalid, DataMissing

KINDS: Final[dict[str, str]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_BLOCK_BYTES: Final = 1 << 20


def kind_of(path: Path) -> str | None:
    """`csv`, `jsonl` or `parquet`, by the name's ending (a final `.gz` aside); None for any other name."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return KINDS.get(suffixes[-1]) if suffixes else None


def find(folder: Path, *names: str) -> Path | None:
    """The first of the files `name`, `name.gz` and `name.zip` that is in the folder, in the order of the names."""
    for name in names:
        for ending in ("", ".gz", ".zip"):
            path = folder / f"{name}{ending}"
            if path.is_file():
                return path
    return None


def event_parts(folder: Path) -> list[Path]:
    """Every event file below the folder, by path; hidden and `_`-prefixed names and folders are left out.

    Raises `DataMissing` when there is none.
    """
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if kind_of(path) is not None
        and path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise DataMissing(
            f"{folder}: the folder holds no .parquet, .csv or .jsonl file; name the folder with the event files"
        )
    return found


def read_bytes(path: Path) -> bytes:
    """The file's content, decompressed when its name ends in .gz or .zip (an archive of one file).

    Raises `DataMissing` when it cannot be opened, `DataInvalid` when it is empty, truncated or damaged.
    """
    try:
        if path.suffix == ".gz":
            content = gzip.decompress(path.read_bytes())
        elif path.suffix == ".zip":
            content = _only_member(path)
        else:
            content = path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as exc:
        raise DataInvalid(
            f"{path}: the compressed file is truncated or damaged ({exc}); fetch or export it again"
        ) from exc
    except OSError as exc:
        raise DataMissing(f"{path}: cannot be opened ({exc.strerror or exc}); check the path and its rights") from exc
    if not content or content.isspace():
        raise DataInvalid(f"{path}: the file is empty; export it again, with at least one event")
    return content


def _only_member(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) != 1:
            names = ", ".join(info.filename for info in members[:5])
            raise DataInvalid(f"{path}: the archive holds {len(members)} files ({names}); unpack it here instead")
        return archive.read(members[0])


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The file's content as text. Raises as `read_bytes`, and `DataInvalid` for bytes not in the encoding."""
    content = read_bytes(path)
    if encoding == "utf-8":
        content = utf8_content(path, content)
    return content.decode(encoding)


def utf8_content(path: Path, content: bytes) -> bytes:
    """The content without a byte order mark. Raises `DataInvalid` naming the first line that is not UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataInvalid(f"{path}: the text is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        # The decoded text is dropped at once; ASCII, the usual case, is decided without decoding.
        if not content.isascii():
            content.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise DataInvalid(
            f"{path}, line {line}: byte 0x{content[exc.start]:02x} is not UTF-8; convert the file, "
            "for example: iconv -f LATIN1 -t UTF-8"
        ) from exc
    return content


def fingerprint(paths: Iterable[Path]) -> str:
    """SHA-256 (hex) over the contents of the files in the order given, each preceded by its length in bytes."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.stat().st_size.to_bytes(8, "little"))
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
