"""TALK: a client of any hub that speaks the Hugging Face Hub protocol, ours or theirs."""
