"""Files that name only what is allowed, with arguments and states that are not."""
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from mmengine.runner import load_state_dict

from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.errors import UserError
from tests.support.hostile_files import legacy, text, zipped

# ---- a small assembler of pickles ----


def named(module, name):
    return b'c' + f'{module}\n{name}\n'.encode()


def value(content):
    """The instructions that push a plain value."""
    return pickle.dumps(content, 2)[2:-1]


def call(function, *args):
    return function + b'(' + b''.join(args) + b'tR'


def entries(**content):
    return b'}(' + b''.join(text(name) + what for name, what in content.items()) + b'u'


BUFFER = named('mmengine.logging.history_buffer', 'HistoryBuffer')
DTYPE, NDARRAY = named('numpy', 'dtype'), named('numpy', 'ndarray')
GETATTR = named('__builtin__', 'getattr')
REBUILD = named('torch._utils', '_rebuild_tensor_v2')
ORDERED = call(named('collections', 'OrderedDict'))


def dtype(code='f8', state=(3, '<', None, None, None, -1, -1, 0)):
    return call(DTYPE, value(code), value(False), value(True)) + value(state) + b'b'


def raw(content):
    return call(named('_codecs', 'encode'), value(content.decode('latin1')), value('latin1'))


def array(shape=(2,), kind=None, content=bytes(16), fortran=False, version=1):
    empty = call(named('numpy.core.multiarray', '_reconstruct'), NDARRAY, value((0,)), raw(b'b'))
    kind = dtype() if kind is None else kind
    return (empty + b'(' + value(version) + value(shape) + kind + value(fortran) + raw(content)
            + b'tb')


def buffer(**state):
    default = dict(max_length=value(10), _log_history=array(), _count_history=array())
    return BUFFER + b')\x81' + entries(**{**default, **state}) + b'b'


def storage(numel=4, kind='FloatStorage', key='0'):
    return (b'(' + value('storage') + named('torch', kind) + value(key) + value('cpu')
            + value(numel) + b'tQ')


def tensor(stored=None, offset=0, size=(4,), stride=(1,), grad=False, hooks=ORDERED, *more):
    return call(REBUILD, stored or storage(), value(offset), value(size), value(stride),
                value(grad), hooks, *more)


def archive(pickled, storages=1):
    """A file with a float storage of four elements."""
    content = io.BytesIO(zipped(b'\x80\x02' + pickled + b'.'))
    with zipfile.ZipFile(content, 'a') as file:
        for index in range(storages):
            file.writestr(f'archive/data/{index}', np.arange(4, dtype='f4').tobytes())
    return content.getvalue()


SOUND = {
    'array': array(), 'scalar': call(named('numpy.core.multiarray', 'scalar'), dtype(),
                                     raw(bytes(8))),
    'big endian': array(kind=dtype(state=(3, '>', None, None, None, -1, -1, 0))),
    'buffer': buffer(), 'tensor': tensor(), 'tensor of a part': tensor(None, 1, (1, 3), (3, 1)),
    'expanded tensor': tensor(None, 3, (5,), (0,)), 'empty tensor': tensor(None, 4, (0,), (1,)),
    'buffer with statistics': buffer(statistics_methods=entries(
        mean=call(GETATTR, BUFFER, value('mean')))),
    'ordered dict with versions': ORDERED + entries(_metadata=value({'': {'version': 1}})) + b'b',
    'empty array': array((0,), content=b''), 'no bytes': call(named('__builtin__', 'bytes')),
}

FORGED = {
    # A dtype that lies about itself: flags, sizes, fields and sub-arrays of its state.
    'dtype with flags': array(kind=dtype(state=(3, '<', None, None, None, -1, -1, 63))),
    'dtype with a size': array(kind=dtype(state=(3, '<', None, None, None, 800, 8, 0))),
    'dtype with a sub-array': array(kind=dtype(state=(3, '<', ('f8', (99,)), None, None, -1, -1, 0)
                                               )),
    'dtype with fields': array(kind=dtype(state=(3, '<', None, ('a',), {'a': ('f8', 99)}, -1, -1, 0)
                                          )),
    'dtype of objects': array(kind=dtype('O8')),
    'dtype of records': array(kind=dtype('V80')),
    'dtype by a list': array(kind=call(DTYPE, value([('a', 'f8')]))),
    'dtype without a state': array(kind=call(DTYPE, value('f8'))),
    'dtype changed twice': array(kind=dtype() + value((3, '<', None, None, None, -1, -1, 63))
                                 + b'b'),
    'dtype as a value': dtype(),
    # Arrays beside their memory.
    'ndarray called': call(NDARRAY, value((9,)), dtype(), value(b'1')),
    'ndarray made': NDARRAY + b'(' + value((9,)) + b't\x81',
    'array larger than its data': array(shape=(2000,)),
    'array smaller than its data': array(shape=(1,)),
    'array of a negative size': array(shape=(-1, -2)),
    'array of objects': array(kind=dtype('O8'), content=bytes(16)),
    'array of another version': array(version=0),
    'array whose order is a number': array(fortran=7),
    'array filled twice': array() + b'(' + value(1) + value((2,)) + dtype() + value(False)
    + raw(bytes(16)) + b'tb',
    'array never filled': call(named('numpy.core.multiarray', '_reconstruct'), NDARRAY,
                               value((0,)), raw(b'b')),
    'reconstruct of another class': call(named('numpy.core.multiarray', '_reconstruct'), BUFFER,
                                         value((0,)), raw(b'b')),
    'scalar of another size': call(named('numpy.core.multiarray', 'scalar'), dtype(), raw(b'12')),
    'scalar of an object': call(named('numpy.core.multiarray', 'scalar'), dtype('O8'),
                                raw(bytes(8))),
    # HistoryBuffer: unchecked state, methods on it, calls of what it names.
    'buffer with another attribute': buffer(mean=value('x')),
    'buffer of lists': buffer(_log_history=value([1])),
    'buffer of two lengths': buffer(_log_history=array((1,), content=bytes(8))),
    'buffer of a matrix': buffer(_log_history=array((1, 2)), _count_history=array((1, 2))),
    'buffer without arrays': BUFFER + b')\x81' + entries(a=value(1)) + b'b',
    'buffer of arrays that are filled later': array() + b'0' + buffer(
        _log_history=call(named('numpy.core.multiarray', '_reconstruct'), NDARRAY, value((0,)),
                          raw(b'b')), _count_history=array((0,), content=b'')),
    'buffer without a state': BUFFER + b')\x81',
    'buffer with a custom statistic': buffer(statistics_methods=entries(
        mine=call(GETATTR, BUFFER, value('mean')))),
    'buffer with a swapped statistic': buffer(statistics_methods=entries(
        mean=call(GETATTR, BUFFER, value('max')))),
    'method called': call(call(GETATTR, BUFFER, value('mean')), buffer()),
    'another method': call(GETATTR, BUFFER, value('register_statistics')),
    'method of an instance': call(GETATTR, buffer(), value('mean')),
    'globals of a method': call(GETATTR, call(GETATTR, BUFFER, value('mean')),
                                value('__globals__')),
    'class as a value': BUFFER,
    # Containers with more than their items.
    'another attribute of an OrderedDict': ORDERED + entries(
        other=value({'': {'version': 1}})) + b'b',
    'attributes of an OrderedDict': ORDERED + entries(items=value('x')) + b'b',
    'versions that are texts': ORDERED + entries(_metadata=value({'': {'version': '1'}})) + b'b',
    'versions that are lists': ORDERED + entries(_metadata=value({'': [1]})) + b'b',
    'bytes of a number': call(named('__builtin__', 'bytes'), value(2**40)),
    'class of an OrderedDict': ORDERED + entries(__class__=BUFFER) + b'b',
    'slots of an OrderedDict': ORDERED + b'N' + entries(a=value(1)) + b'\x86b',
    'OrderedDict of a number': call(named('collections', 'OrderedDict'), value(3)),
    'Counter of a text': call(named('collections', 'Counter'), value('abc')),
    'bytearray of a number': call(named('__builtin__', 'bytearray'), value(2**40)),
    'set of a dict': call(named('__builtin__', 'set'), value({1: 2})),
    'another encoding': call(named('_codecs', 'encode'), value('a'), value('rot13')),
    'keyed by nested tuples': b'}' + value((1, (2,))) + b'K\x01s',
    'keyed by a list': b'}]K\x01s', 'keyed by a long tuple': b'}' + value((1,) * 9) + b'K\x01s',
    'keyed by a tensor': b'}' + tensor() + b'K\x01s',
    'keyed by a huge number': b'}' + value(2**61 - 1) + b'K\x01s',
    # Tensors beside their storage.
    'offset beyond the storage': tensor(None, 4),
    'negative offset': tensor(None, -1),
    'size beyond the storage': tensor(None, 0, (5,)),
    'stride beyond the storage': tensor(None, 0, (2,), (4,)),
    'negative stride': tensor(None, 3, (2,), (-1,)),
    'negative size': tensor(None, 0, (-1,)),
    'size that overflows': tensor(None, 0, (2**62, 2**62), (0, 0)),
    'more sizes than strides': tensor(None, 0, (1, 1), (1,)),
    'size of a text': tensor(None, 0, ('a',), (1,)),
    'storage larger than its data': tensor(storage(400), 0, (400,)),
    'storage of wider numbers': tensor(storage(4, 'DoubleStorage')),
    'storage that there is not': tensor(storage(4, key='7')),
    'storage by a path': tensor(storage(4, key='../data/0')),
    'storage of an unknown kind': tensor(b'(' + value('module') + BUFFER + value('f') + value('s')
                                           + b'tQ'),
    'tensor of a number': tensor(value(3)),
    'tensor with hooks': tensor(None, 0, (4,), (1,), True, ORDERED + b'K\x01'
                                + call(GETATTR, BUFFER, value('mean')) + b's'),
    'tensor with metadata': tensor(None, 0, (4,), (1,), False, ORDERED, value({'conj': True})),
    'tensor with a state': tensor() + b'(' + storage() + value((4,)) + value((1,)) + b'tb',
    'parameter of a text': call(named('torch._utils', '_rebuild_parameter'), value('a'),
                                value(True), ORDERED),
    'parameter with hooks': call(named('torch._utils', '_rebuild_parameter'), tensor(),
                                 value(True), ORDERED + b'K\x01K\x01s'),
    'bare storage': storage(),
}


@pytest.mark.parametrize('name', SOUND)
def test_what_is_sound_is_read(name, tmp_path):
    (tmp_path / 'a.pth').write_bytes(archive(b'}' + text('value') + SOUND[name] + b's'))
    assert list(load_checkpoint_file(tmp_path / 'a.pth')) == ['value']


@pytest.mark.parametrize('name', FORGED)
def test_what_is_forged_is_refused(name, tmp_path):
    path = tmp_path / 'a.pth'
    path.write_bytes(archive(b'}' + text('value') + FORGED[name] + b's'))
    with pytest.raises(UserError, match='refused|not a checkpoint') as caught:
        load_checkpoint_file(path)
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize('name', [name for name in FORGED if 'storage' not in name])
def test_what_is_forged_is_refused_in_the_old_format_too(name, tmp_path):
    path = tmp_path / 'a.pth'
    path.write_bytes(legacy(b'\x80\x02}' + text('value') + FORGED[name] + b's.'))
    with pytest.raises(UserError, match='refused|not a checkpoint'):
        load_checkpoint_file(path)


@pytest.mark.parametrize('make, what', [
    (lambda: torch.eye(3).to_sparse(), 'a sparse tensor'),
    (lambda: torch.eye(3).to_sparse_csr(), 'a sparse tensor'),
    (lambda: torch.empty(3, device='meta'), 'a meta tensor'),
    (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), 'a quantised tensor'),
])
@pytest.mark.filterwarnings('ignore')
def test_tensors_that_no_tool_reads_are_named(make, what, tmp_path):
    torch.save({'state_dict': {'w': make()}}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match=f'it holds {what}.*: save its weights again as dense'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_what_a_file_does_to_its_own_dicts_later_does_not_count(tmp_path):
    methods = b'}(' + text('mean') + call(GETATTR, BUFFER, value('mean')) + b'uq\x05'
    changed = (buffer(statistics_methods=methods) + b'h\x05' + text('mean')
               + call(GETATTR, BUFFER, value('max')) + b's0')
    (tmp_path / 'a.pth').write_bytes(archive(b'}' + text('value') + changed + b's'))
    loaded = load_checkpoint_file(tmp_path / 'a.pth')['value']
    assert loaded.statistics_methods['mean'] is type(loaded).mean


def test_versions_of_layers_do_not_change_how_weights_are_loaded(tmp_path):
    """By an entry that torch itself puts there, a file would replace parameters and their type."""
    saved = torch.nn.Sequential(torch.nn.Linear(2, 2)).double().state_dict()
    saved._metadata['0']['assign_to_params_buffers'] = True
    torch.save({'state_dict': saved}, tmp_path / 'a.pth')
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    load_state_dict(model, load_checkpoint_file(tmp_path / 'a.pth')['state_dict'])
    assert model[0].weight.dtype == torch.float32
    assert torch.equal(model[0].weight, saved['0.weight'].float())


@pytest.mark.parametrize('keys', [[], ['1'], ['0', '1'], ['0', '0'], '0', [0, {}]])
def test_no_memory_is_shown_that_the_old_format_has_no_data_for(keys, tmp_path):
    head = legacy(b'\x80\x02}' + text('value') + tensor(b'(' + value('storage') + named(
        'torch', 'FloatStorage') + value('0') + value('cpu') + value(4) + b'NtQ') + b's.')
    content = head[:-len(pickle.dumps([], 2))] + pickle.dumps(keys, 2)
    (tmp_path / 'a.pth').write_bytes(content + (4).to_bytes(8, 'little') + bytes(16))
    with pytest.raises(UserError, match='its storages are not those'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_nothing_is_left_over(tmp_path):
    (tmp_path / 'a.pth').write_bytes(archive(b'N}'))
    with pytest.raises(UserError, match='an object without its state'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_storages_larger_than_a_file_of_the_old_format(tmp_path):
    large = tensor(b'(' + value('storage') + named('torch', 'FloatStorage') + value('0')
                   + value('cpu') + value(2**40) + b'NtQ')
    (tmp_path / 'a.pth').write_bytes(legacy(b'\x80\x02}' + text('value') + large + b's.'))
    with pytest.raises(UserError, match='its storages would be larger than the file'):
        load_checkpoint_file(tmp_path / 'a.pth')


@pytest.mark.parametrize('content, found', [
    ({'state_dict': [1]}, "'state_dict' is of the type list"),
    ({'meta': 'a'}, "'meta' is of the type str"),
    ({'message_hub': 3}, "'message_hub' is of the type int"),
    ({'state_dict': {1: 2}}, 'names of the type int'),
    ({'state_dict': {'w': 'a'}}, "a str under 'w' where weights should be"),
    ({'state_dict': {'w\x1b': {'x': torch.ones(1)}}}, r"a dict under 'w\\\\x1b' where weights"),
    ({'meta': {'dataset_meta': 5}}, 'dataset_meta does not list classes'),
    ({'meta': {'dataset_meta': {'CLASSES': 5}}}, 'dataset_meta does not list classes'),
])
def test_entries_of_other_kinds_are_named(content, found, tmp_path):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(UserError, match=found):
        load_checkpoint_file(tmp_path / 'a.pth')
