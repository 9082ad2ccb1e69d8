"""What the driver does with `datasets`."""

import io

import datasets
import soundfile
from datasets import Audio, Dataset, load_dataset
from datasets.utils.file_utils import xopen


def _keep(self, clip):
    """Files and bytes as they are. The stock encoder does the same to them, but first asks for `torchcodec`, which is heavy."""
    return {"bytes": None, "path": clip} if isinstance(clip, str) else {key: clip.get(key) for key in ("bytes", "path")}


Audio.encode_example = _keep


def version():
    """What the library calls itself."""
    return datasets.__version__


def push(repo_id, rows, **more):
    """Push a table, given by columns."""
    return Dataset.from_dict(rows).push_to_hub(repo_id, **more)


def load(repo_id, config=None, **more):
    """All rows of a split."""
    return [dict(row) for row in load_dataset(repo_id, config, **more)]


def configs(repo_id):
    """The names of all configurations."""
    return datasets.get_dataset_config_names(repo_id)


def sounds(repo_id, split, **more):
    """Of each clip its label, rate in Hz and length in frames; decoded here, so that nothing heavier is needed."""
    found, clips = [], load_dataset(repo_id, split=split, **more)
    for row in clips.decode(False) if more.get("streaming") else clips.cast_column("audio", Audio(decode=False)):
        content = row["audio"]["bytes"] or _read(row["audio"]["path"])
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            found.append([row["label"], file.samplerate, file.frames])
    return found


def _read(path):
    """A file on disk or, in a stream, on the hub."""
    with xopen(path, "rb") as file:
        return file.read()


def push_sounds(repo_id, folder, **more):
    """Push a folder of clips, which travel inside of tables."""
    clips = load_dataset("audiofolder", data_dir=folder, split="train")
    clips.cast_column("audio", Audio(decode=False)).push_to_hub(repo_id, **more)
