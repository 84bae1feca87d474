"""Small fast tokenizers with chat templates like those of released models."""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    "Today Date: {{ strftime_now('%d %b %Y') }}\n\n<|eot_id|>{% for m in messages %}"
    "<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "<｜User｜>{{ m['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
SPECIAL = {
    CHATML: ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    LLAMA3: ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    R1: ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
}
NOT_DECLARED_SPECIAL = {CHATML: ("<think>", "</think>", "    "), LLAMA3: (), R1: ()} | {
    R1: ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")
}
MERGES = [("\u010a", "\u010a"), ("a", "b"), ("ab", "c"), ("\u0120", "a"), ("?", "\u010a")]
"""Some of which would join what the template writes with what the user does."""


def chat_tokenizer(template: str = CHATML, *, bos: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer; `bos`: it puts its first special token before every text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*letters, *("".join(pair) for pair in MERGES)]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = SPECIAL[template]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special])
    tokenizer.add_tokens([AddedToken(name) for name in NOT_DECLARED_SPECIAL[template]])
    if bos:
        first = (special[0], tokenizer.token_to_id(special[0]))
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{special[0]} $A", special_tokens=[first]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=special[0],
        eos_token=special[1],
        extra_special_tokens=list(special[2:]),
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )
