"""Reads LaTeX tables strictly: columns, rows, cells, and whether anything in them is unescaped."""

import re

NUMBER = re.compile(r"(?:< )?[+-]?\d+(?:\.\d+)?(?: \+- \d+(?:\.\d+)?|e-?\d+)?")
ROW_END = re.compile(r" \\\\(?:\[-?\dpt\])?$")
SPEC = re.compile(r"S\[[^]]*\]|>\{\\raggedright\\arraybackslash\}p\{[\d.]+pt\}|[lcr]")
MATH = re.compile(r"(?<!\\)\$(?:\\.|[^$\\])*\$")


def columns(latex):
    """The columns of the one tabular or longtable, as its argument states them."""
    (start,) = re.finditer(r"\\begin\{(?:tabular|longtable)\}\{@\{\}", latex)
    rest, found = latex[start.end() :], []
    while not rest.startswith("@{}}"):
        spec = SPEC.match(rest)
        assert spec, rest[:40]
        found.append(spec[0])
        rest = rest[spec.end() :]
    return found


def rows(latex):
    """The rows as lists of cells; a cell that spans others is followed by as many Nones."""
    inside = latex.partition("\\toprule\n")[2].partition("\\bottomrule")[0]
    found = []
    for line in inside.splitlines():
        if re.fullmatch(r"\\midrule|\\endhead|\\cmidrule\(l?r?\)\{\d+-\d+\}", line):
            continue
        assert ROW_END.search(line), line
        found.append([])
        for cell in split_cells(ROW_END.sub("", line)):
            span = re.match(r"\\multicolumn\{(\d+)\}\{[lcr]\}\{", cell)
            found[-1] += [cell, *[None] * (int(span[1]) - 1 if span else 0)]
    return found


def split_cells(line):
    """The cells of a row: parts between unescaped ampersands outside braces."""
    cells, depth, escaped = [""], 0, False
    for character in line:
        if not escaped:
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth >= 0, line
        if character == "&" and not escaped:
            assert depth == 0, line
            cells.append("")
        else:
            cells[-1] += character
        escaped = character == "\\" and not escaped
    assert depth == 0, line
    return [cell.strip() for cell in cells]


def assert_sound(latex):
    """Every row has as many cells as columns, columns of numbers hold numbers or braced text,
    braces and environments balance, and no special character is unescaped."""
    specs = columns(latex)
    for row in rows(latex):
        assert len(row) == len(specs), row
        for cell, spec in zip(row, specs, strict=True):
            if spec.startswith("S") and cell and not cell.startswith(r"\multicolumn"):
                assert NUMBER.fullmatch(cell) or is_braced(cell), cell
    comments, _, body = latex.partition("\\begin")
    assert all(line.startswith("% ") for line in comments.splitlines()[:-1])
    opened = re.findall(r"\\begin\{(\w+)\}", latex)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+)\}", latex))
    depth = 0
    for brace in re.findall(r"\\.|[{}]", body, re.S):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        assert depth >= 0
    assert depth == 0
    text = MATH.sub("", re.sub(r"\\label\{tab:[^}]*\}", "", body))
    assert not re.search(r"(?<!\\)[$#%_^~]", text), re.search(r".*(?<!\\)[$#%_^~].*", text)


def is_braced(cell):
    """True for a cell that is one group in braces."""
    depth = 0
    for place, (escaped, brace) in enumerate(re.findall(r"(\\.)|(.)", cell)):
        depth += 0 if escaped else {"{": 1, "}": -1}.get(brace, 0)
        if depth == 0:
            return place == len(re.findall(r"(\\.)|(.)", cell)) - 1
    return False
