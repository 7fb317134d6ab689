"""Small random language models of the families the library supports, with a small tokenizer of their own."""

from pathlib import Path

SENTENCES = [
    "The cat sat on the mat.",
    "Colorless green ideas sleep furiously.",
    "A dog!",
    "People remember what they said in 1984, and then they forget it again; nobody knows why.",
    "Rain fell on the old stone bridge.",
    "She gave him the book that he had lost.",
    "Was it late?",
    "Four participants listened to two hundred sentences while their brains were scanned.",
    "The mountain path was steep and very quiet.",
    "Justice is blind but not deaf.",
]

N_LAYERS, D_MODEL = 4, 32


def tiny_tokenizer(bos_token="<s>"):
    """Byte-level BPE like GPT-2's, trained on a few sentences."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=bos_token, eos_token="</s>", pad_token="</s>")


def metaspace_tokenizer():
    """BPE that marks white space by ▁ as SentencePiece does, before the first word of a text too."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    core.decoder = decoders.Metaspace(prepend_scheme="always")
    core.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>", "<unk>"], show_progress=False),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


def llama_tokenizer():
    """SentencePiece's BPE as Llama 2 has it: ▁ for white space, and bytes for characters that it does not know."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    core.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=["<s>", "</s>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))],
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


def wordpiece_tokenizer():
    """Lower-case word pieces without white space, as BERT has them."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    special = ["[CLS]", "[SEP]", "[UNK]", "[PAD]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    core.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="[CLS]", eos_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]"
    )


def unmarking_tokenizer():
    """Words and punctuation, none of which tells of the white space before it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.train_from_iterator(SENTENCES, trainers.WordLevelTrainer(special_tokens=["<s>", "</s>", "<unk>"]))
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


def _sizes(**changes):
    return {
        "vocab_size": 400,
        "hidden_size": D_MODEL,
        "intermediate_size": 48,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
        **changes,
    }


def _configs():
    import transformers as t

    gpt2 = {"vocab_size": 400, "n_embd": D_MODEL, "n_layer": N_LAYERS, "n_head": 4, "n_positions": 64}
    opt = {"word_embed_proj_dim": D_MODEL, "ffn_dim": 48, "dropout": 0.1}
    gemma = {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8}
    return {
        "gpt2": lambda: t.GPT2Config(**gpt2, bos_token_id=0, eos_token_id=1),
        "gpt_neox": lambda: t.GPTNeoXConfig(**_sizes(), use_parallel_residual=True),
        "llama": lambda: t.LlamaConfig(**_sizes()),
        "gemma2": lambda: t.Gemma2Config(**_sizes(), **gemma),
        "gemma3": lambda: t.Gemma3TextConfig(**_sizes(), **gemma),
        "qwen2": lambda: t.Qwen2Config(**_sizes()),
        "qwen3": lambda: t.Qwen3Config(**_sizes(), head_dim=8),
        "opt": lambda: t.OPTConfig(**{**_sizes(), **opt}),
        "mistral": lambda: t.MistralConfig(**_sizes(), sliding_window=None),
    }


FAMILIES = ("gpt2", "gpt_neox", "llama", "gemma2", "gemma3", "qwen2", "qwen3", "opt", "mistral")


def tiny_model(family="llama", seed=0):
    """A random model in evaluation mode. Its weights are larger than at a usual start: its layers do something."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(_configs()[family]())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
    return model.eval()


def tiny_bert(kind="BertForMaskedLM", **changes):
    """A random BERT in evaluation mode, which sees the whole text; its blocks are at bert.encoder.layer."""
    import torch
    import transformers as t

    sizes = {name: value for name, value in _sizes(**changes).items() if name != "num_key_value_heads"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(t, kind)(t.BertConfig(**sizes, initializer_range=0.2)).eval()


def save_tiny_model(folder, family="llama", seed=0, bos_token="<s>"):
    """Write a tiny model and its tokenizer as a Hugging Face folder; returns its path as a str."""
    folder = Path(folder)
    tiny_model(family, seed).save_pretrained(folder)
    tiny_tokenizer(bos_token).save_pretrained(folder)
    return str(folder)
