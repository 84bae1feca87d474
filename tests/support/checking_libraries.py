"""Stand-ins for the libraries of a checking process."""

PARSER = """
class NormalizationConfig:
    def __init__(self, **options): ...

class ConversionConfig(NormalizationConfig): ...

def latex2sympy(text, **options):
    return text
"""


def write_libraries(folder, math_verify):
    """Write packages into `folder` that parse nothing, and a math_verify of this source."""
    parser = folder / "latex2sympy2_extended"
    parser.mkdir(parents=True)
    (parser / "__init__.py").write_text(PARSER)
    (parser / "latex2sympy2.py").write_text(PARSER)
    (folder / "math_verify.py").write_text(math_verify)
