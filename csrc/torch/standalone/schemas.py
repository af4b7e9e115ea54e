"""The schemas in the table of operators (fastconv/core/ops.py), for setup.py: the table itself can
be imported only when fastconv is built.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def operator_schemas() -> list[str]:
    """As the table writes them: "name(arguments) -> results"."""
    constants: dict[str, str] = {}
    schemas = []
    for node in ast.parse((ROOT / "fastconv" / "core" / "ops.py").read_text()).body:
        if not isinstance(node, ast.Assign):
            continue
        is_row = isinstance(node.value, ast.Call) and node.value.func.id == "operator"
        written = ast.Expression(node.value.args[0] if is_row else node.value)
        value = eval(compile(written, "ops.py", "eval"), {}, constants)
        if is_row:
            schemas.append(value)
        else:
            constants[node.targets[0].id] = value
    return schemas


def write(path: Path) -> None:
    """A string literal for each operator. A file that is as it should be stays untouched."""
    text = "".join(f'    "{schema}",\n' for schema in operator_schemas())
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
