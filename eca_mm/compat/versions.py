"""Combinations of packages that cannot work, found before a dependency fails obscurely."""
import importlib.metadata
import importlib.util
import platform
import re

from eca_mm.utils.errors import UserError

try:
    from packaging.version import InvalidVersion, Version
except ImportError:
    # Where even this is missing, the error must still say what to install.
    InvalidVersion = ValueError  # type: ignore[misc, assignment]

    def Version(version: str) -> None:  # type: ignore[no-redef]  # noqa: N802, D103
        raise InvalidVersion(version)

# The distributions that can provide a module; the onedl ones are the maintained fork.
PROVIDERS = {
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'numpy': ('numpy',),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'mmpretrain': ('mmpretrain', 'onedl-mmpretrain'),
    'transformers': ('transformers',),
    'setuptools': ('setuptools',),
}
INSTALL = {
    'torch': 'torch torchvision',
    'torchvision': 'torch torchvision',
    'numpy': 'numpy',
    'mmengine': 'mmengine==0.10.7',
    'mmcv': 'mmcv-lite==2.1.0',
    'mmdet': 'mmdet==3.3.0',
    'mmpretrain': 'mmpretrain==1.2.0',
}
BUILT_FOR = 'torchvision built for torch'
# A module that no distribution claims (a source tree, say): present, but nothing to check.
UNKNOWN = ''


def installed() -> dict[str, str]:
    """Reads from the packages' metadata, without importing any, what is installed.

    Returns:
        dict[str, str]: Version by distribution, with ``'python'`` and, where torchvision's
        metadata pins it, ``'torchvision built for torch'``.
    """
    found = {'python': platform.python_version()}
    for module, distributions in PROVIDERS.items():
        versions = {}
        for name in distributions:
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        if not versions and importlib.util.find_spec(module):
            versions[distributions[0]] = UNKNOWN
        found.update(versions)
    if found.get('torchvision'):
        for requirement in importlib.metadata.requires('torchvision') or ():
            pinned = re.match(r'torch\s*\(?==\s*([\d.]+)', requirement)
            if pinned:
                found[BUILT_FOR] = pinned[1]
    return found


def check(versions: dict[str, str]) -> None:
    """Refuses combinations that are known not to work.

    Args:
        versions (Mapping[str, str]): Version by distribution, as :func:`installed` returns it.

    Raises:
        UserError: If versions cannot work together; names them and what to install.
    """
    sentence = _problem(versions)
    if sentence:
        raise UserError(sentence)


def _problem(versions: dict[str, str]) -> str | None:
    """Returns the sentence for the first thing that is wrong, None if nothing is."""
    python = versions['python']
    if not (3, 10) <= _release(python) < (3, 14):
        return f'eca_mm supports Python 3.10 to 3.13 but this is Python {python}: use one of those.'
    for module, command in INSTALL.items():
        providers = {name: versions[name] for name in PROVIDERS[module] if name in versions}
        if not providers:
            return f'eca_mm needs {module}, which is not installed: run `pip install {command}`.'
        if len(set(providers.values())) > 1:
            both = ' and '.join(f'{name} {version}' for name, version in providers.items())
            return (f'{both} are both installed and overwrite each other\'s module {module}: '
                    f'run `pip uninstall {" ".join(providers)}` and install only one of them.')

    torch, torchvision, built_for = (versions.get(n) for n in ('torch', 'torchvision', BUILT_FOR))
    if _below(torch, (2, 1)):
        return (f'eca_mm needs torch 2.1 or newer but {torch} is installed: '
                f'run `pip install -U {INSTALL["torch"]}`.')
    if torch and built_for and _release(torch) != _release(built_for):
        return (f'torchvision {torchvision} was built for torch {built_for} but torch {torch} is '
                f'installed: run `pip install torch=={built_for} torchvision=={torchvision}`, or '
                f'install the torchvision that belongs to torch {torch}.')
    if _below(torch, (2, 3)) and _at_least(versions['numpy'], (2,)):
        return (f'torch {torch} was built for numpy 1 but numpy {versions["numpy"]} is installed: '
                'run `pip install "numpy<2"`.')

    mmdet = versions.get('mmdet')
    for name in PROVIDERS['mmcv']:
        if _below(mmdet, (3, 3, 1)) and _at_least(versions.get(name), (2, 2)):
            return (f'mmdet {mmdet} refuses mmcv 2.2 and newer but {name} {versions[name]} is '
                    f'installed: run `pip uninstall {name}` and `pip install {INSTALL["mmcv"]}`.')
        if _below(versions.get(name), (2,)):
            return (f'eca_mm needs mmcv 2.0 or newer but {name} {versions[name]} is installed: '
                    f'run `pip uninstall {name}` and `pip install {INSTALL["mmcv"]}`.')
    mmpretrain, transformers = versions.get('mmpretrain'), versions.get('transformers')
    if _below(mmpretrain, (1, 2, 1)) and _at_least(transformers, (5,)):
        return (f'mmpretrain {mmpretrain} cannot be imported with transformers {transformers}: '
                'run `pip install "transformers<5"`, or uninstall transformers.')
    for name in ('mmengine', 'mmengine-lite'):
        setuptools = versions.get('setuptools')
        if _below(versions.get(name), (0, 10, 8)) and (
                setuptools is None or _at_least(setuptools, (82,))):
            have = f'setuptools {setuptools} does not have' if setuptools else 'is not installed'
            return (f'{name} {versions[name]} needs pkg_resources, which {have}: '
                    'run `pip install "setuptools<81"`.')
    return None


def _release(version: str) -> tuple[int, ...]:
    """Returns the numbers of ``'2.12.1+cpu'`` without trailing zeros, ``(2, 12, 1)``."""
    try:
        numbers = list(Version(version).release)
    except InvalidVersion:
        # A custom build; only its leading numbers can be compared.
        numbers = [int(n) for n in re.findall(r'^[\d.]*', version)[0].split('.') if n]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _below(version: str | None, limit: tuple[int, ...]) -> bool:
    return version is not None and version != '' and _release(version) < limit


def _at_least(version: str | None, limit: tuple[int, ...]) -> bool:
    return version is not None and version != '' and _release(version) >= limit
