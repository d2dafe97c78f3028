"""Which source files a module is made of, by the import graph: what has to change before its results do."""

from functools import cache
from pathlib import Path

import grimp


@cache
def code_behind(module: str) -> tuple[Path, ...]:
    """The files of `module`, of all that it imports inside its package, however far, and of the packages they are in.

    Imports inside functions count too. Raises a ValueError for a module that is not there.
    """
    package = module.partition(".")[0]
    graph = grimp.build_graph(package, cache_dir=None)
    if module not in graph.modules:
        raise ValueError(f"no module is called {module!r}")
    return tuple(files_of(package, {module} | graph.find_upstream_modules(module)))


def files_of(package: str, modules: set[str]) -> list[Path]:
    """The source files of modules, and the __init__.py of each package above them, sorted."""
    root = Path(__import__(package).__file__ or "").parent.parent
    packages = {name.rsplit(".", depth)[0] for name in modules for depth in range(1, name.count(".") + 1)}
    names = {root.joinpath(*name.split(".")) for name in modules | packages}
    return sorted(path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in names)
