"""Untrusted text, such as the cause of a failure, made safe to show in a terminal."""


def printable(text: str) -> str:
    """The text without what could move a terminal's cursor: such characters are spelled out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
