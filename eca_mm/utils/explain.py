"""Turn an exception into a message that tells the user what to do."""
import errno
import re
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any

from torch import distributed

from eca_mm.utils.errors import UserError

from .assertions import explain_assertion
from .signatures import arguments, nearest

_NOT_REGISTERED = re.compile(r"(\S+) is not in the (\S+) registry|Cannot find (\S+) in registry")
_BAD_ARGUMENT = re.compile(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'")
# As gloo and NCCL say it, in the words of several PyTorch versions.
_LOST_PEER = re.compile(r'Connection (closed|reset) by peer|Connection reset|Broken pipe|'
                        r'remote process exited|Timed out waiting|[Ss]ocket [Tt]imeout')
_NO_SHARED_MEMORY = re.compile(
    r'out of shared memory|Bus error|unable to (?:open|write|mmap|allocate|resize)[^\n]*'
    r'(?:shared memory|torch_)|/torch_\d+_\d+|No space left on device[^\n]*/dev/shm|'
    r'/dev/shm[^\n]*No space left')
_TOO_MANY_FILES = re.compile(r'Too many open files|received 0 items of ancdata')
_KILLED_WORKER = re.compile(r'DataLoader worker \(pid[^)]*\)[^\n.]*')
_NO_ARGUMENT = re.compile(r"(\w+)\.__init__\(\) missing .* arguments?: (.+)")


def explain(error: BaseException) -> str | None:
    """Find the sentence for an error that its user can fix.

    Args:
        error (BaseException): What ended the program.

    Returns:
        str | None: One sentence; None for an error that is not the user's, whose traceback is
        then worth more than any sentence.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, UserError):
            # A DataLoader worker wraps the message in its whole traceback.
            return str(link).rsplit('UserError: ', 1)[-1].strip()
        link = link.__cause__ or link.__context__
    if lost_peer(error):
        return ('Another process of this run has ended or does not answer any more '
                f'({_reason(error)}); what it printed tells why: continue with '
                '--resume.')
    worker = _explain_worker(error)
    if worker:
        return worker
    if isinstance(error, OSError):
        return _explain_system(error)
    if isinstance(error, KeyError):
        return _explain_registry(error)
    if isinstance(error, TypeError):
        return _explain_argument(error) or _explain_value(error)
    if isinstance(error, ValueError):
        return _explain_value(error)
    if isinstance(error, AssertionError):
        return explain_assertion(error)
    return None


def interrupted(error: BaseException) -> bool:
    """Whether an error is what another library made of Ctrl-C.

    Args:
        error (BaseException): What ended the program.

    Returns:
        bool: True if a KeyboardInterrupt was being handled when it was raised.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, KeyboardInterrupt):
            return True
        link = link.__cause__ or link.__context__
    return False


def lost_peer(error: BaseException) -> bool:
    """Whether an error means that another process of a distributed run has died.

    Args:
        error (BaseException): What ended the program.

    Returns:
        bool: True if it came out of PyTorch's communication between processes.
    """
    return (distributed.is_initialized() and isinstance(error, RuntimeError)
            and _LOST_PEER.search(str(error)) is not None)


def _reason(error: BaseException) -> str:
    found = _LOST_PEER.search(str(error))
    return found[0] if found else str(error)


def _explain_worker(error: BaseException) -> str | None:
    """Explain the end of a data worker, or a problem with the shared memory for its batches."""
    link: BaseException | None = error
    while link is not None:
        text = str(link)
        if isinstance(link, RuntimeError | OSError):
            if _TOO_MANY_FILES.search(text):
                return ('This process or its data workers have too many open files: raise the '
                        'limit (ulimit -n 65536) or lower num_workers of the data loaders.')
            if _NO_SHARED_MEMORY.search(text) or _lacks_semaphores(link):
                return ('The data workers have used up the shared memory (/dev/shm): make it '
                        'larger (docker run --shm-size=8g, or --ipc=host), or lower num_workers '
                        'or batch_size of the data loaders; num_workers=0 needs none.')
            killed = _KILLED_WORKER.search(text)
            if killed:
                return (f'A data worker has ended ({killed[0]}), most often because the machine '
                        'ran out of memory: lower num_workers of the data loaders and continue '
                        'with --resume.')
        link = link.__cause__ or link.__context__
    return None


def _lacks_semaphores(error: BaseException) -> bool:
    """Whether a queue or lock for data workers, which lies in /dev/shm, could not be made."""
    return (isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None
            and any(frame.f_globals.get('__name__', '').startswith('multiprocessing.')
                    for frame in _frames(error.__traceback__)))


def _explain_system(error: OSError) -> str | None:
    number, reason, name = error.errno, error.strerror, error.filename
    if number is None:
        # From a DataLoader worker only the text comes through.
        inner = re.search(r"\[Errno (\d+)\] (.+?): '(.+)'\s*$", str(error))
        if inner is None:
            return None
        number, reason, name = int(inner[1]), inner[2], inner[3]
    if name is None and number != errno.ENOSPC:
        return None
    remedy = {
        errno.ENOSPC: 'the files written before are whole: free some space and run again '
                      '(tools/train.py: with --resume)',
        errno.EDQUOT: 'the files written before are whole: free some of your quota and run again',
        errno.EFBIG: 'the files written before are whole: lift the limit on file sizes (ulimit -f)',
        errno.EACCES: 'change its permissions or choose another path',
        errno.EROFS: 'choose a path on a file system that can be written to',
        errno.ENOENT: 'check the path',
    }.get(number, 'check the path and its permissions')
    where = f'{name}: ' if name else ''
    reason = reason or type(error).__name__
    return f'{where}{reason[0].lower()}{reason[1:]}; {remedy}.'


def _explain_registry(error: KeyError) -> str | None:
    text = str(error.args[0]) if error.args else ''
    match = _NOT_REGISTERED.search(text)
    if match is None:
        if 'must contain the key "type"' in text:
            return f'A part of the config lacks its "type": {" ".join(text.split())[:200]}.'
        return None
    name = match[1] or match[3]
    names = set()
    for frame in _frames(error.__traceback__):
        registry: Any = frame.f_locals.get('registry') or frame.f_locals.get('self')
        while hasattr(registry, 'module_dict'):
            names.update(registry.module_dict)
            registry = registry.parent
    where = f'the {match[2]} registry' if match[2] else 'its registry'
    return (f'The config names a type {name!r} that is not in {where}{_suggest(name, names)}; '
            'correct the name, or import the module that defines it by custom_imports.')


def _explain_argument(error: TypeError) -> str | None:
    text = str(error)
    frames = list(_frames(error.__traceback__))[::-1]
    bad = _BAD_ARGUMENT.search(text)
    if bad:
        key = bad[2]
        for frame in frames:
            built = frame.f_code.co_name == 'build_from_cfg'
            holders = [value for value in frame.f_locals.values()
                       if isinstance(value, dict) and key in value and value is not frame.f_globals]
            cls = frame.f_locals.get('obj_cls') if built else _resolve(bad[1], frame)
            if holders and cls is not None:
                # The config names a class; a parent of it may be the one to complain.
                named = (outer.f_locals.get('obj_cls') for outer in frames
                         if outer.f_code.co_name == 'build_from_cfg')
                cls = next((other for other in named if isinstance(other, type)
                            and isinstance(cls, type) and issubclass(other, cls)), cls)
                return (f'The config gives {cls.__name__} an argument {key!r} that it does not '
                        f'have{_suggest(key, arguments(cls)[0])}.')
        return None
    lacking = _NO_ARGUMENT.search(text)
    # Only where the constructor was called straight from the config is the config to blame.
    if lacking and frames and frames[0].f_code.co_name == 'build_from_cfg':
        return f'The config gives {lacking[1]} no value for its argument {lacking[2]}.'
    return None


def _explain_value(error: Exception) -> str | None:
    """What this package's own constructors say of a value from the config is a sentence."""
    frames = list(_frames(error.__traceback__))
    built = any(frame.f_code.co_name == 'build_from_cfg' for frame in frames)
    ours = frames[-1].f_globals.get('__name__', '').startswith('eca_mm.') if frames else False
    return f'The config has a value that cannot be used: {error}' if built and ours else None


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _resolve(name: str, frame: FrameType) -> Callable | None:
    found = frame.f_locals.get(name) or frame.f_globals.get(name)
    return found if callable(found) else None


def _suggest(name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    return f' (did you mean {near!r}?)' if near else ''
