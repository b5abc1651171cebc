"""Reads what a Python module imports, without importing it."""

import ast
from collections.abc import Iterator


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every import in a module, those inside functions included.

    `importlib.resources.files("package")` counts: it imports the package for the files in it.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name.partition(".")[0]) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield node.lineno, module.partition(".")[0]
            case ast.Call(
                func=ast.Attribute(attr="import_module" | "files")
                | ast.Name(id="import_module" | "__import__" | "files"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name.partition(".")[0]
