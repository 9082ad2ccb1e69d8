"""Which format a name claims, and which one the first bytes show."""

import os
from typing import Literal, NamedTuple

from tenuto.inspect.mp3 import begins_with_frames
from tenuto.inspect.tars import is_tar

Family = Literal["weights", "archive", "table", "audio", "image", "text", "other"]

HEAD_BYTES = 4096
_LARGEST_SAFETENSORS_HEADER_BYTES = 100_000_000
_PICKLE_PROTOCOLS = range(1, 6)


class Format(NamedTuple):
    """A format: its family, and the endings of names that claim it and nothing else."""

    family: Family
    endings: tuple[str, ...] = ()


# Endings that several formats share, such as .bin, .pt and .dat, claim nothing.
FORMATS: dict[str, Format] = {
    "safetensors": Format("weights", (".safetensors",)),
    "torch": Format("weights"),
    "pickle": Format("weights", (".pkl", ".pickle")),
    "gguf": Format("weights", (".gguf",)),
    "onnx": Format("weights", (".onnx",)),
    "npy": Format("table", (".npy",)),
    "npz": Format("table", (".npz",)),
    "parquet": Format("table", (".parquet",)),
    "csv": Format("table", (".csv", ".tsv")),
    "zip": Format("archive", (".zip",)),
    "tar": Format("archive", (".tar",)),
    "gzip": Format("archive", (".gz", ".tgz")),
    "wav": Format("audio", (".wav", ".wave")),
    "flac": Format("audio", (".flac",)),
    "mp3": Format("audio", (".mp3",)),
    "ogg": Format("audio", (".ogg", ".oga", ".opus")),
    "png": Format("image", (".png",)),
    "jpeg": Format("image", (".jpg", ".jpeg")),
    "json": Format("text", (".json",)),
    "jsonl": Format("text", (".jsonl", ".ndjson")),
    "yaml": Format("text", (".yaml", ".yml")),
    "html": Format("text", (".html", ".htm")),
    "lfs-pointer": Format("other"),
    "7z": Format("archive", (".7z",)),
    "rar": Format("archive", (".rar",)),
    "xz": Format("archive", (".xz",)),
    "bzip2": Format("archive", (".bz2",)),
    "zstd": Format("archive", (".zst",)),
    "hdf5": Format("weights", (".h5", ".hdf5")),
    "aiff": Format("audio", (".aif", ".aiff")),
    "au": Format("audio", (".au",)),
    "mp4": Format("audio", (".m4a", ".mp4")),
}

_BY_ENDING = {ending: name for name, known in FORMATS.items() for ending in known.endings}
PICKLE_ENDINGS = (".pt", ".pth", ".ckpt", ".joblib", ".pkl", ".pickle")
_WEIGHT_ENDINGS = frozenset((*PICKLE_ENDINGS, ".bin"))
_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"GGUF", "gguf"),
    (b"\x93NUMPY", "npy"),
    (b"PAR1", "parquet"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b".snd", "au"),
    (b"version https://git-lfs.github.com/spec/", "lfs-pointer"),
)
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")


def claimed(name: str) -> str | None:
    """The format that the ending of a name claims, or None."""
    return _BY_ENDING.get(os.path.splitext(name.lower())[1])


def claimed_family(name: str) -> Family | None:
    """The family that the ending of a name claims, or None."""
    wanted = claimed(name)
    if wanted:
        return FORMATS[wanted].family
    return "weights" if os.path.splitext(name.lower())[1] in _WEIGHT_ENDINGS else None


def sniff(head: bytes, name: str) -> str | None:
    """The format that the first bytes show; where they show none, the text formats and ONNX go by their name."""
    return _by_magic(head) or _by_shape(head) or _by_name(head, name)


def _by_magic(head: bytes) -> str | None:
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if head[:4] in {b"RIFF", b"RF64", b"BW64", b"RIFX"} and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return "aiff"
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:3] == b"ID3":
        return "mp3"
    return "tar" if is_tar(head) else None


def _by_shape(head: bytes) -> str | None:
    """Formats without a magic number of their own, by how they begin."""
    if head[:1] == b"\x80" and len(head) > 2 and head[1] in _PICKLE_PROTOCOLS:
        return "pickle"
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and 2 <= length <= _LARGEST_SAFETENSORS_HEADER_BYTES:
        return "safetensors"
    if begins_with_frames(head):
        return "mp3"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower()
    return "html" if start.startswith(_PAGE_STARTS) else None


def _by_name(head: bytes, name: str) -> str | None:
    wanted = claimed(name)
    if wanted in {"json", "jsonl", "yaml", "csv", "html"}:
        return wanted if b"\0" not in head else None
    if wanted == "parquet" and head.startswith(b"PARE"):
        return wanted  # with an encrypted footer
    # ir_version, then a small number: what every ONNX file seen begins with
    if wanted == "onnx" and head[:1] == b"\x08":
        return wanted
    if wanted == "mp3" and any(begins_with_frames(head[at:]) for at in range(len(head)) if head[at] == 0xFF):
        return wanted  # something stands before its first frame
    if wanted == "safetensors" and head[8:9] == b"{":
        return wanted  # its header claims an absurd length
    return None
