"""Which files of a repo are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.core.selection import Selection, variants

MUSICGEN = [
    ".gitattributes",
    "README.md",
    "compression_state_dict.bin",
    "config.json",
    "model.safetensors",
    "pytorch_model.bin",
    "state_dict.bin",
]
SHARDED = [
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "pytorch_model-00001-of-00003.bin",
    "pytorch_model-00002-of-00003.bin",
    "pytorch_model-00003-of-00003.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "flax_model.msgpack",
    "rust_model.ot",
]
DIFFUSERS = [
    "model_index.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.bin",
]
QUANTISED = ["README.md", "small-Q4_K_M.gguf", "small-Q8_0.gguf", "small-IQ2_XS.gguf", "small.f16.gguf"]


def test_weights_are_taken_as_safetensors_where_they_are_there_as_such() -> None:
    assert set(MUSICGEN) - set(Selection().of(MUSICGEN)) == {"pytorch_model.bin"}
    assert Selection().of(SHARDED) == SHARDED[:4]


def test_weights_without_a_twin_stay() -> None:
    assert Selection().of(["vae/model.bin", "unet/model.safetensors"]) == ["vae/model.bin", "unet/model.safetensors"]
    assert "vae/diffusion_pytorch_model.bin" in Selection().of(DIFFUSERS)
    assert "unet/diffusion_pytorch_model.bin" not in Selection().of(DIFFUSERS)


def test_a_variant_of_weights_in_bin_is_no_twin_of_another_variant() -> None:
    assert Selection().of(["m/model.fp16.bin", "m/model.safetensors"]) == ["m/model.fp16.bin", "m/model.safetensors"]


def test_all_formats_and_a_pattern_that_names_one_keep_them() -> None:
    assert Selection(all_formats=True).of(SHARDED) == SHARDED
    assert Selection(include=("*.bin",)).of(MUSICGEN) == [path for path in MUSICGEN if path.endswith(".bin")]
    assert "pytorch_model.bin" in Selection(include=("*.bin", "*.safetensors")).of(MUSICGEN)


def test_patterns_match_whole_paths_and_folders() -> None:
    assert Selection(include=("unet/",)).of(DIFFUSERS) == [
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    assert Selection(include=("*.json",)).of(DIFFUSERS) == ["model_index.json", "unet/config.json"]
    assert Selection(exclude=("*.bin", "unet/*")).of(DIFFUSERS) == ["model_index.json"]


def test_one_quantisation_of_many() -> None:
    assert Selection(variant="q4_k_m").of(QUANTISED) == ["README.md", "small-Q4_K_M.gguf"]
    assert Selection(variant="F16").of(QUANTISED) == ["README.md", "small.f16.gguf"]
    assert variants(QUANTISED) == ["f16", "IQ2_XS", "Q4_K_M", "Q8_0"]


def test_a_precision_of_some_folders_leaves_the_others_as_they_are() -> None:
    assert Selection(variant="fp16").of(DIFFUSERS) == [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.bin",
    ]


def test_a_variant_that_nothing_has_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        Selection(variant="Q5_K_S").of(QUANTISED)
    assert "Q5_K_S" in caught.value.message
    assert caught.value.hint is not None
    assert "IQ2_XS, Q4_K_M, Q8_0" in caught.value.hint


def test_names_that_merely_look_like_a_variant_are_none() -> None:
    assert variants(["bf16er/model.safetensors", "config-q4_k.json", "model-v2.safetensors"]) == []


@given(st.lists(st.text(max_size=20), max_size=20), st.lists(st.text(max_size=8), max_size=3), st.booleans())
def test_what_is_taken_is_part_of_what_is_there(paths: list[str], include: list[str], all_formats: bool) -> None:
    taken = Selection(tuple(include), (), None, all_formats).of(paths)
    assert [path for path in paths if path in set(taken)] == taken
    assert set(taken) <= set(paths)
