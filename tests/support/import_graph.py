"""Who imports whom, read from the source without running it."""
import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


class ImportGraph:
    """The imports between the Python files of some folders, those inside functions included.

    Read are ``import a.b``, ``from a import b`` (also relative, and also through a package that
    only hands the name on), ``importlib.import_module('a.b')``, ``__import__('a.b')``, and
    ``a.b.c`` after a mere ``import a``.

    Args:
        root: Folder that the dotted names start from.
        folders: Its folders to read; all files below them belong to the graph.

    Attributes:
        files: The file of every module by its dotted name, as a path relative to ``root``.
        edges: For every module those that it imports, with the line of the first such import.
    """

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        self._root = root
        self.files: dict[str, str] = {}
        for folder in folders:
            for path in sorted((root / folder).rglob('*.py')):
                relative = path.relative_to(root)
                parts = relative.with_suffix('').parts
                name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
                self.files[name] = relative.as_posix()
        self._trees = {name: ast.parse((root / path).read_text(encoding='utf-8'), path)
                       for name, path in self.files.items()}
        self._reexports = {name: dict(self._imported_names(name)) for name in self.files
                           if self._is_package(name)}
        self.edges: dict[str, dict[str, int]] = {name: {} for name in self.files}
        for name in self.files:
            for target, line in self._targets(name):
                if target != name:
                    self.edges[name].setdefault(target, line)

    def arrow(self, source: str, target: str) -> str:
        """An import in words: both files, and the line where it stands."""
        line = self.edges[source][target]
        return f'{self.files[source]}:{line} imports {self.files[target]}'

    def upward(self, order: Sequence[str], ranks: Mapping[str, str]) -> list[str]:
        """The imports that point up.

        Args:
            order: Folders from the top to the bottom.
            ranks: The folder of every module.

        Returns:
            One sentence each.
        """
        position = {folder: i for i, folder in enumerate(order)}
        return [f'{self.arrow(source, target)}, but {ranks[target]} stands above {ranks[source]}'
                for source, targets in self.edges.items() for target in targets
                if position[ranks[target]] < position[ranks[source]]]

    def circle(self) -> str | None:
        """A circle of imports in words, or None."""
        try:
            TopologicalSorter({name: list(targets) for name, targets in self.edges.items()}
                              ).prepare()
        except CycleError as error:
            # Every entry is imported by its successor.
            names = error.args[1][::-1]
            return '; '.join(self.arrow(a, b) for a, b in zip(names, names[1:], strict=False))
        return None

    def _is_package(self, module: str) -> bool:
        return self.files[module].endswith('/__init__.py')

    def _targets(self, module: str) -> Iterator[tuple[str, int]]:
        """All modules of the graph that a module imports, with the lines."""
        tree = self._trees[module]
        plain = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._module(self._beside(module, alias.name), node.lineno)
                    # ``import a.b`` binds a, ``import a.b as c`` binds a.b.
                    top = alias.name if alias.asname else alias.name.split('.')[0]
                    plain[alias.asname or top] = top
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                for alias in node.names:
                    yield from self._name(base, alias.name, node.lineno)
            elif isinstance(node, ast.Call):
                for name in self._dynamic(module, node):
                    yield from self._module(name, node.lineno)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                dotted = _dotted(node)
                if dotted and dotted.split('.')[0] in plain:
                    first, *rest = dotted.split('.')
                    yield from self._attribute(plain[first], rest, node.lineno)

    def _module(self, name: str, line: int) -> Iterator[tuple[str, int]]:
        if name in self.files:
            yield name, line

    def _beside(self, module: str, name: str) -> str:
        """A script finds the files of its own folder by their bare names."""
        folder = module.rpartition('.')[0]
        neighbour = f'{folder}.{name}'
        return neighbour if folder not in self.files and neighbour in self.files else name

    def _name(self, base: str, name: str, line: int) -> Iterator[tuple[str, int]]:
        """``from base import name``: a module below it, or what the package hands on."""
        if base not in self.files and f'{base}.{name}' not in self.files:
            return
        if f'{base}.{name}' in self.files:
            yield f'{base}.{name}', line
            return
        yield base, line
        # What a package re-exports is imported from where it is defined.
        origin = self._reexports.get(base, {}).get(name)
        if origin is not None:
            yield from self._name(*origin, line)

    def _attribute(self, base: str, rest: Sequence[str], line: int) -> Iterator[tuple[str, int]]:
        for name in rest:
            if base not in self.files:
                return
            if f'{base}.{name}' not in self.files:
                yield from self._name(base, name, line)
                return
            base = f'{base}.{name}'
            yield base, line

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        """The dotted name that a ``from`` import starts from."""
        if not node.level:
            return self._beside(module, node.module)
        up = node.level - 1 if self._is_package(module) else node.level
        parts = module.split('.')
        return '.'.join([*parts[:len(parts) - up], *([node.module] if node.module else [])])

    def _imported_names(self, module: str) -> Iterable[tuple[str, tuple[str, str]]]:
        for node in ast.walk(self._trees[module]):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield alias.asname or alias.name, (self._base(module, node), alias.name)

    def _dynamic(self, module: str, node: ast.Call) -> Iterator[str]:
        called = (_dotted(node.func) or '').split('.')[-1]
        literals = [arg.value if isinstance(arg, ast.Constant) else None
                    for arg in [*node.args, *(k.value for k in node.keywords)]]
        if called not in ('import_module', '__import__') or not literals:
            return
        name = literals[0]
        if not isinstance(name, str):
            return
        if name.startswith('.'):
            own = module if self._is_package(module) else module.rpartition('.')[0]
            package = literals[1] if len(literals) > 1 and literals[1] else own
            level = len(name) - len(name.lstrip('.'))
            parts = package.split('.')
            name = '.'.join([*parts[:len(parts) - level + 1], name.lstrip('.')])
        yield name


def _dotted(node: ast.expr) -> str | None:
    """``a.b.c`` as text, None for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return '.'.join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None
