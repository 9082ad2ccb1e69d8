"""What a repo does not have though it claims so."""

from tenuto.core.claims import lacks


def sizes(*paths: str) -> dict[str, int]:
    """Files of some size under these paths."""
    return dict.fromkeys(paths, 10)


def test_models() -> None:
    assert lacks("model", sizes("config.json", "model.safetensors")) == []
    assert lacks("model", sizes("a/encoder.pt")) == []
    assert lacks("model", sizes("config.json", "README.md")) == ["it holds no weights"]
    assert lacks("model", {"model.safetensors": 0}) == ["it holds no weights"]


def test_adapters() -> None:
    assert lacks("adapter", sizes("adapter_config.json", "adapter_model.safetensors")) == []
    assert lacks("adapter", sizes("final_model.pt", "config.yaml")) == []
    assert lacks("adapter", sizes("adapter_model.safetensors")) == ["it holds no configuration of an adapter"]
    assert len(lacks("adapter", sizes("README.md"))) == 2


def test_each_adapter_of_several() -> None:
    """One that lacks its configuration is not listed, or loaded as zeros."""
    whole = sizes(
        "jazz/final_model.pt", "jazz/config.yaml", "rock/adapter_model.safetensors", "rock/adapter_config.json"
    )
    assert lacks("adapter", whole) == []
    assert lacks("adapter", whole | {"rock/adapter_config.json": 0}) == ["rock holds no configuration of an adapter"]
    assert lacks("adapter", sizes("config.json", "checkpoints/5/model.safetensors")) == [], "one above counts"


def test_datasets() -> None:
    assert lacks("dataset", sizes("data/train-00000.parquet")) == []
    assert lacks("dataset", sizes("train.csv")) == []
    assert "loading script" in lacks("dataset", sizes("gtzan.py", "README.md"))[0]
    assert lacks("dataset", sizes("README.md", "dataset_infos.json")) == ["it holds no data"]
    (fault,) = lacks("dataset", sizes("musiccaps-public.csv"), ["modality:audio"])
    assert "audio" in fault
    assert lacks("dataset", sizes("clips/a.wav", "meta.csv"), ["modality:audio"]) == []
    assert lacks("dataset", sizes("audio.tar.gz"), ["modality:audio"]) == []
