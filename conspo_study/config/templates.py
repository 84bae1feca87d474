"""Prompts that have a name, which `data.template` replaces by their text."""

TEMPLATES = {
    "boxed": "{problem}\n\nReason step by step, and put your final answer in \\boxed{}.",
}
"""`{problem}` stands for the question. `boxed` asks for the answer where the verifier looks."""
