"""What the constructors that a config calls can take."""
import difflib
import inspect
from collections.abc import Callable, Iterable


def arguments(kind: Callable) -> tuple[dict, bool]:
    """What a class's constructor or a function takes.

    Args:
        kind (Callable): The class or function.

    Returns:
        tuple[dict[str, inspect.Parameter], bool]: The arguments by name, those that a constructor
        hands on to its parents by ``**kwargs`` included; and whether it takes others besides
        without saying which.
    """
    functions = [kind]
    if inspect.isclass(kind):
        functions = [vars(base)['__init__'] for base in inspect.getmro(kind)[:-1]
                     if '__init__' in vars(base)]
    found: dict[str, inspect.Parameter] = {}
    takes_others = False
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters.values()
        except ValueError:
            # Compiled functions do not tell.
            return found, True
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                found.setdefault(parameter.name, parameter)
        takes_others = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        if not takes_others:
            break
    found.pop('self', None)
    return found, takes_others


def show_parents_arguments(*hidden: str) -> Callable[[type], type]:
    """Let ``help``, notebooks and editors show what a constructor hands on to its parents.

    Args:
        *hidden (str): Arguments of the parents that the constructor itself fills.

    Returns:
        Callable[[type], type]: Decorator for a class whose constructor ends in ``**kwargs``: the
        constructor's signature then names all arguments, those of the parents by keyword only.
    """

    def decorate(cls: type) -> type:
        constructor = vars(cls)['__init__']
        own = inspect.signature(constructor)
        shown = [parameter for parameter in own.parameters.values()
                 if parameter.kind is not parameter.VAR_KEYWORD]
        names = {parameter.name for parameter in shown} | set(hidden)
        found, takes_others = arguments(cls)
        shown += [parameter.replace(kind=parameter.KEYWORD_ONLY)
                  for name, parameter in found.items() if name not in names]
        if takes_others:
            shown += [p for p in own.parameters.values() if p.kind is p.VAR_KEYWORD]
        constructor.__signature__ = own.replace(parameters=shown)
        return cls

    return decorate


def nearest(name: str, names: Iterable[str], cutoff: float = 0.5,
            whole: bool = False) -> str | None:
    """Find the name that is probably meant by a misspelt one.

    Args:
        name (str): The misspelt name; a scope before it (``mmdet.``) does not count.
        names (Iterable[str]): The known names; case is ignored.
        cutoff (float): How similar the two must be, from 0 to 1.
        whole (bool): Whether what stands before a dot counts too. Defaults to False.

    Returns:
        str | None: The nearest, or None if none is near.
    """
    by_lower = {other.lower(): other for other in sorted(names)}
    name = name if whole else name.split('.')[-1]
    near = difflib.get_close_matches(name.lower(), by_lower, 1, cutoff=cutoff)
    return by_lower[near[0]] if near else None
