r"""Removes what only lays a formula out, and unifies the spellings of commands.

The result is LaTeX in which texts of all fonts are `\text{...}`, all fractions are
`\frac{}{}`, spaces are single, and sizes, colours, frames and fonts of symbols are gone.
"""

from __future__ import annotations

import re

from conspo_study.reward.reading.characters import in_ascii
from conspo_study.reward.reading.rules import rule

MAX_DEPTH = 40
"""Maximum depth of nested arguments."""


TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
"""Words in plain layout, with what they say as the group."""


class Malformed(ValueError):
    """A text with an argument that is not closed, or nested too deeply."""


_TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\.|\\\Z|[{}]|[^\\{}]+", re.DOTALL)
_SIZES = (
    "displaystyle textstyle scriptstyle scriptscriptstyle tiny scriptsize footnotesize small "
    "normalsize large Large LARGE huge Huge bf rm it sf tt bfseries itshape mdseries upshape "
    "normalfont middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr "
    "bigm limits nolimits nobreak noindent par allowbreak relax centering checkmark qed square "
    "blacksquare mathstrut strut mathopen mathclose mathord mathrel mathbin displaylimits hfill"
)
_SPACES = "quad qquad enspace enskip thinspace medspace thickspace space nobreakspace"
_FRAMES = (
    "boxed fbox framebox boldsymbol bm pmb mathit mathsf mathtt mathnormal mathfrak underline "
    "uline uwave hl ensuremath smash mathop mathbf mathinner vcenter"
)
_TEXTS = (
    "text textrm textbf textit textsf texttt textnormal textup textsl textsc mbox hbox emph mathrm"
)
_HIDDEN = "phantom hphantom vphantom label tag hspace vspace kern hskip cite ref footnote"
_SPELLINGS = {
    "leq": r"\le ",
    "leqslant": r"\le ",
    "geq": r"\ge ",
    "geqslant": r"\ge ",
    "neq": r"\ne ",
    "dfrac": r"\frac",
    "tfrac": r"\frac",
    "cfrac": r"\frac",
    "dbinom": r"\binom",
    "tbinom": r"\binom",
    "choose": r"\choose ",
    "varnothing": r"\emptyset ",
    "empty": r"\emptyset ",
    "O": r"\emptyset ",
    "infin": r"\infty ",
    "infinity": r"\infty ",
    "lbrace": r"\{",
    "rbrace": r"\}",
    "lbrack": "[",
    "rbrack": "]",
    "lparen": "(",
    "rparen": ")",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "mid": "|",
    "degree": r"^\circ ",
    "degrees": r"^\circ ",
    "textdegree": r"^\circ ",
    "ast": r"\cdot ",
    "centerdot": r"\cdot ",
    "bullet": r"\cdot ",
    "percent": r"\%",
    "dots": r"\ldots ",
    "cdots": r"\ldots ",
    "dotsc": r"\ldots ",
    "dotsb": r"\ldots ",
    "lt": "<",
    "gt": ">",
    "colon": ":",
    "simeq": r"\approx ",
    "thickapprox": r"\approx ",
    "textdollar": r"\$",
    "euro": "€",
    "pounds": "£",
    "slash": "/",
    "isin": r"\in ",
    "C": r"\mathbb{C}",
    "R": r"\mathbb{R}",
    "Z": r"\mathbb{Z}",
    "N": r"\mathbb{N}",
    "Q": r"\mathbb{Q}",
}
_SIZES_SET = frozenset(_SIZES.split())
_SPACES_SET = frozenset(_SPACES.split())
_FRAMES_SET = frozenset(_FRAMES.split())
_TEXTS_SET = frozenset(_TEXTS.split())
_HIDDEN_SET = frozenset(_HIDDEN.split())
_MARK = r"\\(?:mathbf|boldsymbol|bm|pmb|hat|vec|widehat)"
_UNIT_VECTOR = re.compile(
    rf"{_MARK}\s*(?:\{{\s*{_MARK}\s*\{{\s*\\?([ijk])(?:math)?\s*\}}\s*\}}"
    rf"|\{{\s*\\?([ijk])(?:math)?\s*\}}|\s+\\?([ijk])(?:math)?(?![a-zA-Z]))"
)
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z])")
_BLANK = re.compile(r"\s+")
_DELIMITER = re.compile(r"(?<!\\)\$|\\[()\[\]](?!\w)")


@rule(
    accepted=[
        ("42", r"\large 42"),
        ("42", r"\boldsymbol{42}"),
        ("42", r"\color{red}{42}"),
        ("42", r"\textcolor{blue}{42}"),
        ("42", r"\underline{42}"),
        ("42", r"{{42}}"),
        ("42", r"\ 42\ "),
        ("42", r"~42~"),
        ("42", r"\fbox{42}"),
        (r"\frac{1}{2}", r"\dfrac12"),
        (r"\left( 5, \frac{\pi}{3} \right)", r"(5,\frac{\pi}{3})"),
        (r"\emptyset", r"\varnothing"),
    ],
    refused=[("42", r"\phantom{42}"), ("42", r"41 \fbox{42}"), ("42", r"\cancel{42}")],
)
def plain_layout(text: str) -> str:
    """Sizes, colours, frames, fonts of symbols and spaces change nothing; what is not seen is
    removed; several spellings of one command are one.

    Raises Malformed.
    """
    text = _DOUBLED.sub(r"\\", text) if r"\begin" not in text else text
    text = _DELIMITER.sub("", in_ascii(text))
    text = _UNIT_VECTOR.sub(_unit_vector, text) if "\\" in text else text
    if "\\" not in text and "{" not in text and "}" not in text:
        return _BLANK.sub(" ", text.replace("~", " ")).strip()
    return _BLANK.sub(" ", _Rewriter(_TOKEN.findall(text)).all()).strip()


def squeezed(plain: str) -> str:
    """A text in plain layout without spaces."""
    return plain.replace(" ", "")


def _unit_vector(found: re.Match[str]) -> str:
    """A symbol that no text uses, so that the vector i is not the imaginary unit."""
    return f" u_{{{100 + ' ijk'.index(found[1] or found[2] or found[3])}}} "


class _Rewriter:
    """Reads tokens from left to right and writes the plain layout."""

    def __init__(self, tokens: list[str]):
        self._tokens = tokens
        self._at = 0

    def all(self) -> str:
        written = self._until_close(0)
        if self._at < len(self._tokens):
            raise Malformed("a closing brace without an opening one")
        return written

    def _until_close(self, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        parts: list[str] = []
        while self._at < len(self._tokens) and self._tokens[self._at] != "}":
            parts.append(self._next(depth))
        return "".join(parts)

    def _next(self, depth: int) -> str:
        token = self._tokens[self._at]
        self._at += 1
        if token == "{":
            return f"{{{self._group(depth)}}}"
        if token[0] != "\\":
            return token.replace("~", " ")
        name = token[1:].rstrip("*")
        if not name.isalpha():
            return self._control_symbol(token)
        if name in ("left", "right"):
            self._skip(".")  # `\left.` stands for no bracket
            return ""
        if name in _SIZES_SET:
            return " "
        if name in _SPACES_SET:
            return " "
        if name in _TEXTS_SET:
            return self._text(depth)
        if name in _FRAMES_SET:
            return self._spaced(self._argument(depth))
        if name in _HIDDEN_SET:
            self._argument(depth)
            return ""
        return self._command(name, depth)

    def _command(self, name: str, depth: int) -> str:
        if name in ("color", "textcolor", "colorbox"):
            self._argument(depth)
            return self._argument(depth) if self._sees("{") else ""
        if name == "not" and self._at < len(self._tokens):
            return r"\ne " if self._skip("=") else r"\not "
        name = _SPELLINGS.get(name, f"\\{name}")
        if name in (r"\frac", r"\binom"):
            first, second = self._argument(depth), self._argument(depth)
            return f"{name}{{{first}}}{{{second}}}"
        if name == r"\sqrt":
            return self._root(depth)
        ends_in_letter = name[-1].isalpha()
        return f"{name} " if ends_in_letter and not self._sees("{") else name

    def _root(self, depth: int) -> str:
        index = ""
        if self._sees("["):
            rest = self._tokens[self._at].lstrip()
            index, closing, rest = rest.partition("]")
            if not closing:
                raise Malformed("a root's index is not closed")
            self._replace(rest)
            index = f"{index}]"
        if self._sees("("):
            inside, closing, rest = self._tokens[self._at].lstrip()[1:].partition(")")
            if closing and "(" not in inside:
                self._replace(rest)
                return rf"\sqrt{index}{{{inside}}}"
        return rf"\sqrt{index}{{{self._argument(depth)}}}"

    def _text(self, depth: int) -> str:
        if not self._sees("{"):
            return self._argument(depth)
        content = self._argument(depth)
        if len(content.strip()) == 1 and content.strip().isalpha():
            return rf"\text{{{content.strip()}}}"
        flat = TEXT.sub(r"\1", content)
        return rf"\text{{{flat}}}"

    def _control_symbol(self, token: str) -> str:
        if token in (r"\,", r"\;", r"\:", r"\>", "\\ ", "\\\n", r"\/"):
            return " "
        if token == r"\!":
            if self._at < len(self._tokens):
                self._replace(self._tokens[self._at].lstrip())
            return ""
        if token in (r"\-", r"\[", r"\]", "\\"):
            return ""
        if token == r"\\":
            return r"\\ "
        return token

    def _argument(self, depth: int) -> str:
        """The next argument: a group, a command with its own, or one character."""
        while self._at < len(self._tokens) and self._tokens[self._at].isspace():
            self._at += 1
        if self._at == len(self._tokens) or self._tokens[self._at] == "}":
            raise Malformed("an argument is missing")
        token = self._tokens[self._at]
        if token == "{":
            self._at += 1
            return self._group(depth)
        if token[0] == "\\":
            return self._next(depth + 1)
        token = token.lstrip()
        self._replace(token[1:])
        return token[0]

    def _group(self, depth: int) -> str:
        content = self._until_close(depth + 1)
        if self._at == len(self._tokens):
            raise Malformed("a brace is not closed")
        self._at += 1
        return content

    def _sees(self, start: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at].lstrip().startswith(start)

    def _skip(self, start: str) -> bool:
        if not self._sees(start):
            return False
        self._replace(self._tokens[self._at].lstrip()[len(start) :])
        return True

    def _replace(self, rest: str) -> None:
        """Leave `rest` of the present token."""
        if rest:
            self._tokens[self._at] = rest
        else:
            self._at += 1

    @staticmethod
    def _spaced(content: str) -> str:
        return f" {content} "
