"""What the driver does with `transformers` and `peft`."""

import os

import peft
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hold", "the", "note", "##s"]
_TEXT = "hold the notes"


def version():
    """What the library calls itself."""
    return transformers.__version__


def push(repo_id, folder, **more):
    """Push a tiny model of random weights and a tokenizer; what the model makes of a text."""
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(_WORDS))
    tokenizer = BertTokenizerFast(vocab_file=os.path.join(folder, "vocab.txt"))
    model = _tiny()
    model.push_to_hub(repo_id, **more)
    tokenizer.push_to_hub(repo_id, **more)
    return _reading(model, tokenizer)


def load(repo_id, **more):
    """What the model on the hub makes of the text."""
    config = AutoConfig.from_pretrained(repo_id, **more)
    assert config.model_type == "bert"
    return _reading(AutoModel.from_pretrained(repo_id, **more), AutoTokenizer.from_pretrained(repo_id, **more))


def push_adapter(repo_id, base, **more):
    """Push an adapter for the model `base`; the sum of its weights."""
    settings = peft.LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False)
    adapted = peft.get_peft_model(AutoModel.from_pretrained(base), settings)
    adapted.push_to_hub(repo_id, **more)
    return _adapter_sum(adapted)


def load_adapter(repo_id, base):
    """The sum of the weights of the adapter on the hub."""
    return _adapter_sum(peft.PeftModel.from_pretrained(AutoModel.from_pretrained(base), repo_id))


def _tiny():
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(_WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    return BertModel(config)


def _reading(model, tokenizer):
    with torch.no_grad():
        return model.eval()(**tokenizer(_TEXT, return_tensors="pt")).last_hidden_state.flatten().tolist()


def _adapter_sum(model):
    return sum(float(value.abs().sum()) for name, value in model.state_dict().items() if "lora_" in name)
