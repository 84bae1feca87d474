"""The docstrings under the fields of a configuration class, from its source."""

import ast
import inspect
import textwrap
from itertools import pairwise


def field_docs(stage):
    """Field to docstring, those of base classes included; fields without one are absent."""
    found = {}
    for cls in reversed(stage.__mro__[:-2]):  # all but BaseModel and object
        if cls.__module__.startswith("pydantic"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
        for field, after in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[field.target.id] = after.value.value
    return found
