"""A reader of tensorboard's event files written from their format: TFRecords of Event messages, checksums included."""

import struct


def make_table():
    """CRC-32C (Castagnoli), reflected polynomial 0x82F63B78."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = make_table()


def checksum(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    value = checksum(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(data: bytes):
    """(the whole records, the bytes of a torn one at the end). ValueError for a wrong checksum."""
    records, place = [], 0
    while place + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        if struct.unpack_from("<I", data, place + 8)[0] != masked(data[place : place + 8]):
            raise ValueError(f"checksum of the length at byte {place}")
        if place + 16 + length > len(data):
            break
        record = data[place + 12 : place + 12 + length]
        if struct.unpack_from("<I", data, place + 12 + length)[0] != masked(record):
            raise ValueError(f"checksum of the record at byte {place}")
        records.append(record)
        place += 16 + length
    return records, data[place:]


def read_varint(data, place):
    value = shift = 0
    while True:
        value |= (data[place] & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if not data[place - 1] & 0x80:
            return value, place


def read_fields(data):
    """Fields of a protocol buffer message: [(number, value)], values as bytes or int."""
    fields, place = [], 0
    while place < len(data):
        key, place = read_varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = read_varint(data, place)
        else:
            size, place = (8, place) if kind == 1 else (4, place) if kind == 5 else read_varint(data, place)
            value, place = data[place : place + size], place + size
        fields.append((key >> 3, value))
    return fields


def read_scalars(path):
    """[(tag, step, value)] of an event file: Event.step is field 2, .summary 5; Summary.value 1; .tag 1,
    .simple_value 2."""
    found = []
    for record in read_records(path.read_bytes())[0]:
        event = dict(read_fields(record))
        for _, entry in read_fields(event.get(5, b"")):
            value = dict(read_fields(entry))
            found.append((value[1].decode(), event.get(2, 0), struct.unpack("<f", value[2])[0]))
    return found
