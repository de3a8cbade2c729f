"""What a package offers is what its ``__all__`` says."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path


def packages(portion: Path) -> list[str]:
    base = portion.parents[1]
    return [".".join(file.parent.relative_to(base).parts) for file in sorted(portion.rglob("__init__.py"))]


def names_bound(module: ast.Module) -> set[str]:
    """Public names that the statements of an ``__init__`` bind."""
    names: set[str] = set()
    for statement in module.body:
        if isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
            names |= {alias.asname or alias.name for alias in statement.names}
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.add(statement.target.id)
    return {name for name in names if not name.startswith("_")}


def test_all_names_what_the_package_binds_and_no_more(portion: Path) -> None:
    assert packages(portion), f"{portion} is no package"
    for name in packages(portion):
        package = import_module(name)
        offered = set(getattr(package, "__all__", ()))
        assert package.__file__ is not None
        bound = names_bound(ast.parse(Path(package.__file__).read_text("utf-8")))
        assert bound <= offered, f"{name} binds names that its __all__ does not list"
        missing = {attribute for attribute in offered if not hasattr(package, attribute)}
        assert not missing, f"{name}.__all__ lists names that are not there"


def test_each_portion_says_that_it_is_typed(portion: Path) -> None:
    assert (portion / "py.typed").is_file()


def test_the_namespace_has_no_init(portion: Path) -> None:
    assert not (portion.parent / "__init__.py").exists()
