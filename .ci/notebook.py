"""Runs the cells of a notebook and stores what they show in it.

    python .ci/notebook.py [studies/notebook.ipynb] [--out FILE]

Jupyter is not needed: a cell's output is what it prints and the value of its last expression, as
HTML, PNG and text, whichever the value offers. The cells run in an empty folder. So that two runs
store alike and name no machine, wall times become `… s`, the path of that folder a dot, and the
lines of progress and of Ray's dashboard are left out.

The notebook's metadata name the SHA-256 of the sources that ran: outputs of other ones are stale.
"""

import argparse
import ast
import base64
import contextlib
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "studies" / "notebook.ipynb"
RAN = "sources_sha256"
_WALL_TIME = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?: (?:s|min|h))\b")
_PASSING = re.compile(r"^(?:\[ *\S+ m?s\]|Ray dashboard:).*\n", re.M)


def sources(notebook):
    """The SHA-256 of all sources, text between the code included."""
    texts = ["".join(cell["source"]) for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def execute(notebook, folder):
    """The notebook with the outputs of its cells, run in `folder`; an error in one is raised."""
    names = {"__name__": "__main__"}
    ran, cells = 0, []
    with contextlib.chdir(folder):
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                ran += 1
                outputs = _outputs("".join(cell["source"]), names, ran, str(Path.cwd()))
                cell = {**cell, "execution_count": ran, "outputs": outputs}
            cells.append(cell)
    return {
        **notebook,
        "cells": cells,
        "metadata": {**notebook["metadata"], RAN: sources(notebook)},
    }


def _outputs(source, names, number, folder):
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), f"<cell {number}>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"<cell {number}>", "eval"), names)
    outputs = []
    if printed.getvalue():
        text = _alike(printed.getvalue(), folder)
        outputs.append({"output_type": "stream", "name": "stdout", "text": _lines(text)})
    if value is not None:
        data = {"text/plain": _lines(_alike(repr(value), folder))}
        html, png = (getattr(value, name, lambda: None)() for name in ("_repr_html_", "_repr_png_"))
        if html is not None:
            data["text/html"] = _lines(_alike(html, folder))
        if png is not None:
            data["image/png"] = base64.b64encode(png).decode()
        shown = {"output_type": "execute_result", "execution_count": number}
        outputs.append({**shown, "data": data, "metadata": {}})
    return outputs


def _alike(text, folder):
    return _PASSING.sub("", _WALL_TIME.sub("… s", text.replace(folder, ".")))


def _lines(text):
    return text.splitlines(keepends=True)


def main(arguments=None):
    """Run the notebook and store it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebook", nargs="?", type=Path, default=NOTEBOOK)
    parser.add_argument("--out", type=Path, help="where to store it instead of in place")
    options = parser.parse_args(arguments)
    os.environ.setdefault("MPLBACKEND", "Agg")
    notebook = json.loads(options.notebook.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        executed = execute(notebook, folder)
    text = json.dumps(executed, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    (options.out or options.notebook).write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
