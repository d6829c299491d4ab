"""Where the images of a data set may lie, and whether they are there."""
import os
from collections import defaultdict

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

# More images than this in one folder are looked up in its listing, not one by one.
_FEW = 256


class ImageRoots:
    """The folders that the images of a data set must be in.

    Args:
        data_root (str): The data set's ``data_root``; may be empty.
        prefix (str): Folder of the images, as mmdet joins it to the root; may be empty.
        allow_outside (bool): Whether images may lie elsewhere: by an absolute name, by ``..`` or
            through a link.
    """

    def __init__(self, data_root: str, prefix: str, allow_outside: bool = False) -> None:
        self.prefix, self.allow_outside = prefix, allow_outside
        self.name = data_root or prefix or 'the current folder'
        self.is_remote = '://' in data_root or '://' in prefix
        # Without any folder only relative names lead to an image in it.
        self.accepts_absolute = bool(data_root or prefix)
        roots = [data_root or prefix or '.', prefix or '.']
        # Fixed now: the current directory may be another one later.
        self._roots = tuple(os.path.join(os.path.abspath(root), '') for root in roots)
        self._real_roots = tuple(os.path.join(os.path.realpath(root), '') for root in roots)

    def contains(self, name: str) -> bool:
        """Whether a file name of the annotations stays in the folders, links not followed."""
        if self.is_remote:
            return not (os.path.isabs(name) or '://' in name or '..' in name.split('/'))
        if '://' in name:
            # It would be fetched.
            return False
        if self.allow_outside:
            return True
        if os.path.isabs(name) and not self.accepts_absolute:
            return False
        path = os.path.abspath(os.path.join(self.prefix, name))
        return path.startswith(self._roots)

    def check_links(self, path: str) -> None:
        """Refuse an image that a link leads out of the folders to.

        Args:
            path (str): The image's file.

        Raises:
            UserError: If the file that it stands for lies elsewhere and that is not allowed.
        """
        if self.is_remote or self.allow_outside:
            return
        real = os.path.realpath(path)
        if not real.startswith(self._real_roots):
            raise UserError(
                f'Image {path} is a link that leads out of the data root {self.name}, to {real}; '
                'set allow_outside=True of the data set if that is meant (DVC and hub caches keep '
                'images so), or copy the files.')

    def check_files(self, paths: list[str], source: str) -> list[str]:
        """Look up all images, the links among them included.

        Args:
            paths (list[str]): Files of the images.
            source (str): The annotation file that lists them.

        Returns:
            list[str]: Those that do not exist.

        Raises:
            UserError: If none exists, or a link leads out of the folders.
        """
        if self.is_remote or not paths:
            return []
        folders = defaultdict(list)
        for path in paths:
            folders[os.path.dirname(path)].append(path)
        absent = []
        for folder, files in folders.items():
            present, links = _look_up(folder, files)
            absent += [path for path in files if path not in present]
            if present:
                self.check_links(os.path.join(folder, os.path.basename(min(present))))
            for path in sorted(links):
                self.check_links(path)
        if len(absent) == len(paths):
            raise UserError(f'None of the {len(paths)} images of {source} exists, the first being '
                            f'{paths[0]}; {separator_hint(paths[0])}check data_root and '
                            'data_prefix of the config.')
        return absent


def missing_images(absent: list[str], count: int, source: str) -> str:
    """Say which of a data set's images do not exist.

    Args:
        absent (list[str]): Files that do not exist.
        count (int): Number of images.
        source (str): The annotation file.

    Returns:
        str: One clause without full stop.
    """
    return (f'{len(absent)} of {count} images of {source} do not exist: {some(absent, 3)}; '
            f'{separator_hint(absent[0])}restore the files or take them out of the annotations')


def separator_hint(path: str) -> str:
    """What to do about a file that is there under the name that Windows would mean.

    Args:
        path (str): A file that does not exist.

    Returns:
        str: The beginning of a sentence that goes on with what else helps; may be empty.
    """
    other = path.replace('\\', '/')
    return ('write / in place of the backslashes in the annotation file, or '
            if other != path and os.path.exists(other) else '')


def _look_up(folder: str, paths: list[str]) -> tuple[set[str], set[str]]:
    """Which of several files of a folder exist, and which are links."""
    if len(paths) <= _FEW:
        present = {path for path in paths if os.path.lexists(path)}
        links = {path for path in present if os.path.islink(path)}
    else:
        wanted = {os.path.basename(path): path for path in paths}
        present, links = set(), set()
        try:
            with os.scandir(folder or '.') as entries:
                for entry in entries:
                    if entry.name in wanted:
                        present.add(wanted[entry.name])
                        if entry.is_symlink():
                            links.add(wanted[entry.name])
        except OSError:
            return set(), set()
    # A link to a file that is gone is not an image.
    return present - {path for path in links if not os.path.exists(path)}, links
