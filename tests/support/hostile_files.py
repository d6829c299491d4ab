"""Checkpoints as mmengine writes them, and malicious ones that would run code."""
import functools
import io
import os
import pickle
import tarfile
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


class Call:
    """Pickles as the call of a function, which may itself be the result of such a call."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args

    def __call__(self):
        raise AssertionError('only there because pickle wants callables')


def dumped(value, protocol=2):
    return pickle.dumps(value, protocol)


def text(value):
    return b'V' + value.encode() + b'\n'


def short(value):
    return b'\x8c' + bytes([len(value)]) + value.encode()


def through_globals(marker):
    scope = Call(getattr, HistoryBuffer.mean, '__globals__')
    builtins = Call(Call(getattr, scope, 'get'), '__builtins__')
    execute = Call(Call(getattr, builtins, 'get'), 'exec')
    return dumped(Call(execute, f'import os; os.mkdir({marker!r})'))


def as_bytes(marker):
    # The bytes of a file within the file, which torch's helper loads without restraint.
    return dumped(Call(torch.storage._load_from_bytes, legacy(dumped(Call(os.mkdir, marker)))))


# Each makes the directory `marker` when it is unpickled without restraint.
PAYLOADS = {
    'os.system': lambda m: dumped(Call(os.system, f'mkdir "{m}"')),
    'os.mkdir': lambda m: dumped(Call(os.mkdir, m)),
    'exec': lambda m: dumped(Call(exec, f'import os; os.mkdir({m!r})')),
    'eval': lambda m: dumped(Call(eval, f'__import__("os").mkdir({m!r})')),
    'exec, protocol 4': lambda m: dumped(Call(exec, f'import os; os.mkdir({m!r})'), 4),
    'partial': lambda m: dumped(Call(functools.partial(os.mkdir, m))),
    'getattr': lambda m: (
        b'\x80\x02c__builtin__\ngetattr\n(c__builtin__\n__import__\n(' + text('os') + b'tR'
        + text('mkdir') + b'tR(' + text(m) + b'tR.'),
    'getattr to __globals__': through_globals,
    'GLOBAL, protocol 0': lambda m: b'cos\nmkdir\n(' + text(m) + b'tR.',
    'INST': lambda m: b'(' + text(m) + b'ios\nmkdir\n.',
    'OBJ': lambda m: b'(cos\nmkdir\n' + text(m) + b'o.',
    'NEWOBJ': lambda m: (b'\x80\x02cfunctools\npartial\n(cos\nmkdir\n' + text(m)
                         + b't\x81)R.'),
    'STACK_GLOBAL through memo': lambda m: (
        b'\x80\x04' + short('os') + b'\x94' + short('mkdir') + b'\x9400h\x00h\x01\x93('
        + text(m) + b'tR.'),
    'hidden behind a tensor': lambda m: dumped(
        OrderedDict(weight=np.ones(3), other=Call(os.mkdir, m))),
    'bytes of a file': as_bytes,
}


def zipped(payload, name='archive/data.pkl'):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr(name, payload)
        archive.writestr('archive/byteorder', 'little')
        archive.writestr('archive/version', '3\n')
    return file.getvalue()


def legacy(payload):
    """The format of torch before 1.6: several pickles in a row."""
    head = [torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION,
            {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {}}]
    return b''.join(map(dumped, head)) + payload + dumped([])


def tarred(payload):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        for name, content in (('storages', payload), ('tensors', payload), ('pickle', payload)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def written_by_mmengine():
    buffer = HistoryBuffer([1.0, 2.5], [1, 2])
    return dict(
        meta=dict(epoch=1, time='now', dataset_meta=dict(classes=('a', 'b'))),
        state_dict=OrderedDict(w=torch.arange(6.0).reshape(2, 3), h=torch.ones(2).bfloat16(),
                               n=torch.tensor(3)),
        message_hub=dict(log_scalars=OrderedDict(loss=buffer),
                         runtime_info=OrderedDict(best=np.float64(0.5), n=np.int64(7),
                                                  f=np.float32(0.25), ok=np.bool_(True))),
        param_schedulers=[dict(milestones=Counter([2, 3]))],
    )


def check_written_by_mmengine(loaded):
    for name, tensor in written_by_mmengine()['state_dict'].items():
        assert torch.equal(loaded['state_dict'][name], tensor)
    buffer = loaded['message_hub']['log_scalars']['loss']
    assert buffer.mean() == 3.5 / 3 and buffer.statistics('max') == 2.5
    assert loaded['message_hub']['runtime_info'] == dict(best=0.5, n=7, f=0.25, ok=True)
    assert loaded['param_schedulers'][0]['milestones'] == Counter([2, 3])
