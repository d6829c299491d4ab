"""The zip archives that torch writes, checked before torch reads them."""
from __future__ import annotations

import os
import struct
import zipfile
from typing import BinaryIO

import torch

from .safe_pickle import TooLarge, available_memory

# Records may be larger than the file by this factor; torch writes them as they are.
_EXPANSION = 10
_SMALL = 2**26
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class BrokenArchive(ValueError):
    """An archive that is damaged or contradicts itself; the message says how."""


def is_archive(file: BinaryIO) -> bool:
    """Whether torch takes a file for an archive: it looks at the first four bytes only."""
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    return start == b'PK\x03\x04'


def open_archive(file: BinaryIO) -> tuple[torch._C.PyTorchFileReader, dict[str, int]]:
    """Check an archive and open it with torch's own reader.

    Python's reader tells sizes and checksums, torch's is the one that counts: an archive that the
    two read differently is refused.

    Args:
        file (BinaryIO): The archive.

    Returns:
        tuple[torch._C.PyTorchFileReader, dict[str, int]]: The reader, and the size in bytes of
        each of its records.

    Raises:
        BrokenArchive: If it is truncated or damaged, a checksum is wrong, or the two differ.
        TooLarge: If its records are far larger than the file, or do not fit into memory.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check_end(file)
            file.seek(0)  # where torch takes the archive to begin
            reader = torch._C.PyTorchFileReader(file)
            sizes = _compare(file, infos, reader)
            _check_sizes(infos, file.seek(0, os.SEEK_END))
            # torch can be told to leave all checksums out.
            damaged = archive.testzip() if any(info.CRC for info in infos) else None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError,
            UnicodeError, struct.error) as error:
        raise BrokenArchive(str(error) or type(error).__name__) from error
    if damaged is not None:
        raise BrokenArchive(f'the checksum of its record {damaged!r} is wrong')
    file.seek(0)
    return reader, sizes


def _check_end(file: BinaryIO) -> None:
    """Refuse an end by which two readers may find two directories.

    One reader looks for the directory before the end record, another where that says that it is.
    """
    size = file.seek(0, os.SEEK_END)
    # An end record takes 22 bytes and a comment of up to 64 kB, those of zip64 76 before it.
    start = max(0, size - 2**16 - 22 - 76)
    file.seek(start)
    tail = file.read()
    place = tail.find(b'PK\x05\x06')
    if tail.count(b'PK\x05\x06') != 1 or place + 22 > len(tail):
        raise BrokenArchive('it has two directories')
    length, offset, comment = struct.unpack('<2LH', tail[place + 12:place + 22])
    end = start + place
    if end + 22 + comment != size:
        raise BrokenArchive('something follows its end')
    if place >= 20 and tail[place - 20:place - 16] == b'PK\x06\x07':
        end, record = end - 76, tail[max(0, place - 76):place - 20]
        if (struct.unpack('<Q', tail[place - 12:place - 4])[0] != end
                or record[:4] != b'PK\x06\x06'):
            raise BrokenArchive('its directory can be read in two ways')
        length, offset = struct.unpack('<2Q', record[40:56])
    if offset + length != end:
        raise BrokenArchive('its directory can be read in two ways')


def _compare(file: BinaryIO, infos: list[zipfile.ZipInfo],
             reader: torch._C.PyTorchFileReader) -> dict[str, int]:
    folder = infos[0].filename.partition('/')[0] if infos else ''
    names = [info.filename for info in infos]
    # torch's reader takes upper and lower case for the same.
    if len({name.lower() for name in names}) < len(names):
        raise BrokenArchive('it has two records of one name')
    if sorted(f'{folder}/{name}' for name in reader.get_all_records()) != sorted(names):
        raise BrokenArchive('its directory can be read in two ways')
    sizes = {}
    for info in infos:
        record = info.filename.removeprefix(f'{folder}/')
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise BrokenArchive(f'its record {record!r} is encrypted or of an unknown compression')
        file.seek(info.header_offset)
        header = file.read(30)
        lengths = struct.unpack('<HH', header[26:30])
        if reader.get_record_offset(record) != info.header_offset + 30 + sum(lengths):
            raise BrokenArchive(f'its record {record!r} can be read in two ways')
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise BrokenArchive(f'its record {record!r} has two sizes')
        sizes[record] = info.file_size
    return sizes


def _check_sizes(infos: list[zipfile.ZipInfo], file_size: int) -> None:
    total = sum(info.file_size for info in infos)
    if total > max(_SMALL, _EXPANSION * file_size):
        raise TooLarge(f'records of {total >> 20} MB in a file of {file_size / 2**20:.1f} MB')
    free = available_memory()
    if free is not None and total > free:
        raise TooLarge(f'records of {total >> 20} MB, and {free >> 20} MB of memory are free')
