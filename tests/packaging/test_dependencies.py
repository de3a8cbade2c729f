"""Dependencies point one way, heavy libraries wait inside functions, and what is imported is declared."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

import pytest

# Importing one of them costs a tenth of a second or more, or starts threads, or is an extra.
HEAVY = frozenset(
    {
        "PIL", "ai_edge_litert", "cryptography", "hypothesis", "keras", "matplotlib", "model_signing", "onnx",
        "onnxruntime", "pandas", "pyarrow", "rich", "scipy", "sklearn", "tensorflow", "tf2onnx",
        "tflite_micro", "typer",
    }
)  # fmt: skip
# File → heavy libraries that it may import at its top, and why.
ALLOWED_AT_TOP = {
    "trainer/digits_edge/trainer/_callbacks.py": {
        "keras"
    },  # subclasses Keras' callbacks; only `fit` imports it
    "trainer/digits_edge/trainer/_fused.py": {
        "keras"
    },  # subclasses a layer of Keras'; only `build` imports it
    # Declares commands, and draws their results; what starts with the command line has a test below.
    "cli/digits_edge/cli/*.py": {"typer", "rich"},
}
# Distributions whose import name is not their own name.
IMPORT_NAMES = {
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "pytest-benchmark": "pytest_benchmark",
    "model-signing": "model_signing",
    "pyopenssl": "OpenSSL",
    "pyyaml": "yaml",
}


@dataclass(frozen=True)
class Import:
    """One imported module, and where."""

    file: Path
    line: int
    module: str
    runs_on_import: bool

    @property
    def library(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.module}"


def imports_of(portion: Path, root: Path) -> list[Import]:
    found = [
        Import(file.relative_to(root), node.lineno, module, at_top)
        for file in sorted(portion.rglob("*.py"))
        for node, at_top in import_statements(ast.parse(file.read_text("utf-8")), at_top=True)
        for module in modules_named(node)
    ]
    assert found, f"{portion} has no imports: looked in the wrong place?"
    return found


def import_statements(node: ast.AST, *, at_top: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Import statements below a node, and whether each runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_top
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from import_statements(child, at_top=False)
        elif isinstance(child, ast.If) and ast.unparse(child.test) in (
            "TYPE_CHECKING",
            "typing.TYPE_CHECKING",
        ):
            for statement in child.body:
                yield from import_statements(ast.Module([statement], []), at_top=False)
            for statement in child.orelse:
                yield from import_statements(ast.Module([statement], []), at_top=at_top)
        else:
            yield from import_statements(child, at_top=at_top)


def modules_named(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Dotted names; ``from digits_edge.trainer import fit`` names the package and, perhaps, its module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, "imports are absolute"
    assert node.module is not None
    if node.module.partition(".")[0] != "digits_edge":
        return [node.module]
    within = [f"{node.module}.{alias.name}" for alias in node.names]
    return within if node.module == "digits_edge" else [node.module, *within]


def test_a_portion_imports_only_itself_and_those_below_it(
    portion: Path, portions: dict[str, Path], root: Path
) -> None:
    order = list(portions)
    below = order[: order.index(portion.name) + 1]
    wrong = [
        str(item)
        for item in imports_of(portion, root)
        if item.library == "digits_edge" and item.module.split(".")[1] not in below
    ]
    assert not wrong, f"{portion.name} may import {', '.join(below)} only"


def test_heavy_libraries_are_imported_inside_functions(portion: Path, root: Path) -> None:
    wrong = [
        str(item)
        for item in imports_of(portion, root)
        if item.runs_on_import
        and item.library in HEAVY
        and not any(
            item.file.match(pattern) and item.library in names for pattern, names in ALLOWED_AT_TOP.items()
        )
    ]
    assert not wrong


def test_only_fit_imports_the_module_that_imports_keras(portions: dict[str, Path], root: Path) -> None:
    importers = {
        item.file.name
        for portion in portions.values()
        for item in imports_of(portion, root)
        if item.module == "digits_edge.trainer._callbacks"
    }
    assert importers == {"fit.py"}


def test_tensorflow_stays_in_trainer_and_export(portion: Path, root: Path) -> None:
    users = [
        str(item) for item in imports_of(portion, root) if item.library in ("tensorflow", "keras", "tf2onnx")
    ]
    if portion.name not in ("trainer", "export"):
        assert not users


def test_starting_the_command_line_imports_typer_and_the_standard_library_only(
    portions: dict[str, Path], root: Path
) -> None:
    by_file: dict[Path, list[Import]] = {}
    for package in portions.values():
        for item in imports_of(package, root):
            by_file.setdefault(item.file, []).append(item)
    waiting, seen = [portions["cli"] / "__init__.py"], set[Path]()
    third_party = []
    while waiting:
        file = waiting.pop().relative_to(root)
        if file in seen:
            continue
        seen.add(file)
        for item in by_file.get(file, []):
            if item.library == "digits_edge" and item.runs_on_import:
                waiting += files_run_by_importing(item.module, portions)
            elif item.runs_on_import and item.library not in {*sys.stdlib_module_names, "typer"}:
                third_party.append(str(item))
    assert Path("cli/digits_edge/cli/app.py") in seen
    assert not third_party


def files_run_by_importing(module: str, portions: dict[str, Path]) -> list[Path]:
    """The module's file and those of the packages around it."""
    _, portion, *parts = module.split(".")
    directories = [portions[portion].joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    candidates = [directory / "__init__.py" for directory in directories] + [
        directories[-1].with_suffix(".py")
    ]
    return [file for file in candidates if file.is_file()]


@pytest.mark.parametrize(
    ("distribution", "contents"),
    [("digits-edge-runtime", ["runtime"]), ("digits-edge", ["trainer", "export", "benchmarks", "cli"])],
)
def test_libraries_imported_are_those_declared(
    distribution: str, contents: list[str], portions: dict[str, Path], root: Path
) -> None:
    imported = {
        item.library
        for name in contents
        for item in imports_of(portions[name], root)
        if item.library not in {*sys.stdlib_module_names, "digits_edge"}
    }
    declared = {
        IMPORT_NAMES.get(name, name.replace("-", "_"))
        for requirement in requires(distribution) or []
        if not re.search(r"extra == .dev.", requirement)
        and not (name := re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).startswith("digits-edge")
    }
    runs_the_suites = {"pytest", "pytest_benchmark"}
    assert imported - runs_the_suites == declared - runs_the_suites
