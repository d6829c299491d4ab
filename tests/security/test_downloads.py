"""Weights from web addresses, served on this machine."""
import contextlib
import hashlib
import http.server
import io
import socket
import threading
import time

import pytest
import torch
from mmengine.runner import CheckpointLoader

from eca_mm.compat import downloads
from eca_mm.utils.errors import UserError
from tests.support.hostile_files import (
    PAYLOADS,
    check_written_by_mmengine,
    legacy,
    written_by_mmengine,
)


def content(**weights):
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the table ``answers``: path to (status, headers, body)."""

    def do_GET(self):
        self.server.asked.append(self.path)
        status, headers, body = self.server.answers.get(self.path, (404, {}, b''))
        self.send_response(status)
        for name, value in {'Content-Length': len(body), **headers}.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        if isinstance(body, bytes):
            self.wfile.write(body)
            return
        with contextlib.suppress(OSError):
            body.write_to(self.wfile)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        server.answers, server.asked = {}, []
        server.url = f'http://127.0.0.1:{server.server_port}'
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def load(url):
    return CheckpointLoader.load_checkpoint(url, 'cpu')


def refused(url, match):
    with pytest.raises(UserError, match=match) as caught:
        load(url)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_downloads_are_read_as_safely_as_files(server, tmp_path):
    file = io.BytesIO()
    torch.save(written_by_mmengine(), file)
    server.answers['/good.pth'] = (200, {}, file.getvalue())
    check_written_by_mmengine(load(f'{server.url}/good.pth'))
    bad = legacy(PAYLOADS['exec'](str(tmp_path / 'marker')))
    server.answers['/bad.pth'] = (200, {}, bad)
    refused(f'{server.url}/bad.pth', 'builtins.exec')
    assert not (tmp_path / 'marker').exists()


def test_the_cache_uses_the_whole_address(server):
    paths = ['/a/epoch_12.pth', '/b/epoch_12.pth', '/a/epoch_12.pth?v=2', '/a/epoch_12.pth?v=3']
    for number, path in enumerate(paths):
        server.answers[path] = (200, {}, content(number=torch.tensor(number)))
    for _ in range(2):
        for number, path in enumerate(paths):
            assert load(server.url + path)['number'] == number
    other = server.url.replace('127.0.0.1', 'localhost')
    server.answers[paths[0]] = (200, {}, content(number=torch.tensor(9)))
    assert load(other + paths[0])['number'] == 9
    assert server.asked == [*paths, paths[0]]


def test_a_hash_in_the_name_is_checked_and_shared(server, tmp_path):
    body = content(w=torch.ones(1))
    name = f'net-{hashlib.sha256(body).hexdigest()[:8]}.pth'
    server.answers[f'/{name}'] = (200, {}, body)
    assert load(f'{server.url}/{name}')['w'] == 1
    assert (tmp_path / f'cache/hub/checkpoints/{name}').is_file()
    server.answers['/net-00c0ffee.pth'] = (200, {}, body)
    refused(f'{server.url}/net-00c0ffee.pth', 'SHA-256 begins with 00c0ffee')
    assert not list((tmp_path / 'cache').rglob('*00c0ffee*'))


@pytest.mark.parametrize('answer, match', [
    ((404, {}, b'no'), '404'), ((500, {}, b'no'), '500'), ((403, {}, b''), '403'),
    ((200, {'Content-Length': 10**6}, b'PK'), 'ended after 2 of 1000000'),
    ((200, {'Content-Length': 'many'}, b'PK'), 'cannot be downloaded'),
    ((200, {'Transfer-Encoding': 'chunked', 'Content-Length': None}, b'ff\r\nab'),
     'cannot be downloaded'),
    ((200, {}, b'<html>not found</html>'), 'is truncated or is not a checkpoint'),
    ((302, {'Location': 'file:///etc/passwd'}, b''), 'redirects to .file:///etc/passwd'),
    ((302, {'Location': 'ftp://127.0.0.1/a.pth'}, b''), 'redirects to .ftp'),
    ((302, {'Location': 'data:text/plain,a'}, b''), 'redirects to .data'),
    ((302, {'Location': '/a.pth'}, b''), 'redirects to ./a.pth'),
    ((301, {}, b''), 'redirects to .nowhere'),
])
def test_errors_on_the_way_are_one_line(server, tmp_path, answer, match):
    server.answers['/a.pth'] = answer
    refused(f'{server.url}/a.pth', match)
    left = [path for path in (tmp_path / 'cache').rglob('*') if path.is_file()]
    assert all(path.name == 'a.pth' for path in left) and not (left and answer[0] != 200)


class Endless:
    """A body that has no end, or comes a byte at a time."""

    def __init__(self, piece, pause=0):
        self.piece, self.pause = piece, pause

    def __len__(self):
        return 0

    def write_to(self, stream):
        for _ in range(1000):
            stream.write(self.piece)
            time.sleep(self.pause)


@pytest.mark.parametrize('body, headers, match', [
    (Endless(bytes(2**16)), {'Content-Length': None}, 'does not end after 1 MB'),
    (Endless(b'%x\r\n' % 2**16 + bytes(2**16) + b'\r\n'),
     {'Content-Length': None, 'Transfer-Encoding': 'chunked'}, 'does not end after 1 MB'),
    (b'PK', {'Content-Length': 10**15}, 'has 953674316 MB, more than the 1 MB'),
    (Endless(b'P', .01), {'Content-Length': 10**6}, 'less than 1000 bytes a second'),
], ids=['endless', 'endless chunks', 'larger than the disk', 'a byte at a time'])
def test_downloads_are_bounded(server, tmp_path, monkeypatch, body, headers, match):
    monkeypatch.setattr(downloads, 'MOST_BYTES', 2**20)
    monkeypatch.setattr(downloads, 'TIMEOUT', 0.5)
    server.answers['/a.pth'] = (200, headers, body)
    refused(f'{server.url}/a.pth', match)
    assert not [path for path in (tmp_path / 'cache').rglob('*') if path.is_file()]


def test_a_download_leaves_room_on_the_disk(server, monkeypatch):
    monkeypatch.setattr(downloads, 'SPARED_BYTES', 2**62)
    server.answers['/a.pth'] = (200, {}, content(w=torch.ones(1)))
    refused(f'{server.url}/a.pth', 'more than the 0 MB that may be stored')


def test_redirects_within_the_web_are_followed(server):
    server.answers['/old.pth'] = (302, {'Location': '/new.pth'}, b'')
    server.answers['/new.pth'] = (200, {}, content(w=torch.ones(1)))
    assert load(f'{server.url}/old.pth')['w'] == 1


def test_no_way_from_https_to_http():
    import urllib.request
    request = urllib.request.Request('https://127.0.0.1/a.pth')
    with pytest.raises(UserError, match='redirects to .http:'):
        downloads._SameScheme().redirect_request(request, None, 302, '', {}, 'http://a/b.pth')


def test_silent_and_absent_servers(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(downloads, 'TIMEOUT', 0.2)
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        refused(f'http://127.0.0.1:{silent.getsockname()[1]}/a.pth', 'timed out')
        port = silent.getsockname()[1]
    refused(f'http://127.0.0.1:{port}/a.pth', 'refused')
    refused('http://host.invalid/a.pth', 'cannot be downloaded')


@pytest.mark.parametrize('url', ['ftp://127.0.0.1/a.pth', 'file:///etc/passwd', 'gopher://a/b',
                                 'pavi://a/b.pth', 'hdfs://a.pth', 'http:///a.pth'])
def test_other_schemes_are_refused(url):
    refused(url, 'cannot be loaded|not an address')


def test_no_password_gets_into_a_log():
    for url in ('https://me:secret@127.0.0.1/a.pth', 'http://token@127.0.0.1/a.pth'):
        with pytest.raises(UserError, match='holds a user name') as caught:
            downloads.load_url(url)
        assert 'secret' not in str(caught.value) and 'token' not in str(caught.value)
    refused('http://[::1/a.pth', 'is not a web address')


@pytest.mark.parametrize('url, name', [
    ('http://h/../../a.pth', 'a.pth'), ('http://h/..', 'checkpoint'), ('http://h/', 'checkpoint'),
    ('http://h/%2e%2e%2fa.pth', '_2e_2e_2fa.pth'), ('http://h/.bashrc', 'bashrc'),
    ('http://h/' + 'a' * 300 + '.pth', 'a' * 96 + '.pth'), ('http://h/a b\n.pth', 'a_b.pth'),
])
def test_no_address_leads_out_of_the_cache(url, name, tmp_path):
    path = downloads.cached_path(url, str(tmp_path))
    assert path.startswith(f'{tmp_path}/') and path.count('/') == str(tmp_path).count('/') + 2
    assert path.endswith(f'/{name}')


def test_names_of_openmmlab_are_read_as_safely(tmp_path, monkeypatch):
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    (tmp_path / 'open_mmlab.json').write_text('{"mine": "mine.pth"}')
    (tmp_path / 'mine.pth').write_bytes(legacy(PAYLOADS['exec'](str(tmp_path / 'marker'))))
    for scheme in ('open-mmlab', 'openmmlab'):
        refused(f'{scheme}://mine', 'builtins.exec')
        refused(f'{scheme}://other', 'names no model')
    assert not (tmp_path / 'marker').exists()
