"""Which source files a module is made of, by the import graph: what has to change before its results do."""

import ast
from functools import cache
from pathlib import Path

import grimp

# They say how a run is told of, and what it is made of; an edit of theirs changes no result.
BESIDE_THE_RESULT = frozenset(
    {
        "confidistill",  # names the library's surface
        "confidistill.code",
        "confidistill.errors",
        "confidistill.imports",
        "confidistill.progress",
    }
)


@cache
def code_behind(
    module: str, *, within: tuple[str, ...] = (), without: frozenset[str] = frozenset()
) -> tuple[Path, ...]:
    """The source files of `module` and of all that it imports inside its package, however far, sorted.

    Imports inside functions count, those for type checkers alone do not. With the modules go the packages that they
    are in, where an `__init__.py` does anything, and the data files (stopwords, a page's template) that they name.

    Args:
        module: its full name.
        within: further packages whose modules count.
        without: modules that do not count, nor what is imported through them alone.

    Raises:
        ValueError: there is no such module.
    """
    packages = (module.partition(".")[0], *within)
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
    if module not in graph.modules:
        raise ValueError(f"no module is called {module!r}")
    found: set[str] = set()
    left = [module]
    while left:
        name = left.pop()
        if name and name not in found | without | BESIDE_THE_RESULT:
            found.add(name)
            left += [*graph.find_modules_directly_imported_by(name), name.rpartition(".")[0]]
    sources = [path for path in map(_source, found) if path.name != "__init__.py" or _does_anything(path)]
    return tuple(sorted({*sources, *(data for path in sources for data in _data_of(path))}))


def _source(module: str) -> Path:
    """The file of a module or package."""
    package, *inner = module.split(".")
    path = Path(__import__(package).__file__ or "").parent.joinpath(*inner)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _does_anything(path: Path) -> bool:
    """Whether a source file has more than a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return len(tree.body) > (ast.get_docstring(tree) is not None)


def _data_of(path: Path) -> list[Path]:
    """The files beside a source file, not sources themselves, that it names, or that one of these names."""
    beside = {other for other in path.parent.iterdir() if other.is_file() and other.suffix not in (".py", ".pyc")}
    text = path.read_text(encoding="utf-8")
    found: list[Path] = []
    while named := [other for other in sorted(beside - {*found}) if other.name in text]:
        found += named
        text = "".join(other.read_text(encoding="utf-8") for other in named)
    return found
