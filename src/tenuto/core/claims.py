"""Whether a repo holds what its kind promises: weights, an adapter with its configuration, data. By names and sizes alone."""

from collections.abc import Iterable, Iterator, Mapping

_WEIGHTS = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".th", ".gguf", ".ggml", ".onnx", ".h5", ".msgpack", ".ot"),
    *(".npz", ".tflite", ".pb", ".mlmodel", ".joblib", ".nemo", ".pkl"),
)
_TABLES = (".parquet", ".arrow", ".jsonl", ".jsonl.gz", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".lance")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip", ".7z", ".hdf5", ".h5", ".npz", ".npy")
_AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aif", ".aiff", ".aac")
_ADAPTER_CONFIGS = ("adapter_config.json", "config.yaml", "config.json")
_BESIDE = ("README.md", "dataset_infos.json", "dataset_info.json", "config.json", "LICENSE.txt", "requirements.txt")


def lacks(kind: str, sizes: Mapping[str, int], tags: Iterable[str] = ()) -> list[str]:
    """What a repo with these files (path to size in bytes) does not have though its kind or its tags promise it; empty if it is as claimed."""
    paths = [path for path, size in sizes.items() if size and path.rpartition("/")[2] not in _BESIDE]
    if kind == "dataset":
        return _lacks_of_dataset(paths, set(tags))
    faults = [] if _any(paths, _WEIGHTS) else ["it holds no weights"]
    return faults + (_lacks_of_adapter(paths, sizes) if kind == "adapter" else [])


def _lacks_of_adapter(paths: list[str], sizes: Mapping[str, int]) -> list[str]:
    """A configuration lies beside the weights that it is for, or in a folder above."""
    configured = {
        path.rpartition("/")[0] for path, size in sizes.items() if size and path.rpartition("/")[2] in _ADAPTER_CONFIGS
    }
    folders = {path.rpartition("/")[0] for path in paths if _any([path], _WEIGHTS)} or {""}
    bare = sorted(folder for folder in folders if configured.isdisjoint(_with_above(folder)))
    return [f"{folder or 'it'} holds no configuration of an adapter" for folder in bare]


def _with_above(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def _lacks_of_dataset(paths: list[str], tags: set[str]) -> list[str]:
    has_data = _any(paths, (*_TABLES, *_ARCHIVES, *_AUDIO))
    if not has_data:
        if _any(paths, (".py",)):
            return ["it holds a loading script and no data; current versions of `datasets` run no scripts"]
        return ["it holds no data"]
    if "modality:audio" in tags and not _any(paths, (*_AUDIO, *_ARCHIVES, ".parquet", ".arrow", ".lance")):
        return ["its tags promise audio, and it holds tables of text only"]
    return []


def _any(paths: Iterable[str], endings: tuple[str, ...]) -> bool:
    return any(path.lower().endswith(endings) for path in paths)
