"""A small DER writer and reader, strict about nothing: tests must be able to
write what no library would."""
import datetime


def tlv(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 128 | len(length)]) + length + body


def sequence(*parts):
    return tlv(0x30, *parts)


def integer(value):
    size = max(1, (value.bit_length() + 8) // 8)
    return tlv(0x02, value.to_bytes(size, "big", signed=True))


def enumerated(value):
    return tlv(0x0A, bytes([value]))


def octets(value):
    return tlv(0x04, value)


def bits(value):
    return tlv(0x03, b"\0" + value)


def null():
    return b"\x05\x00"


def explicit(number, *parts):
    return tlv(0xA0 | number, *parts)


def implicit(number, value):
    """A primitive [number] IMPLICIT."""
    return tlv(0x80 | number, value)


def oid(dotted):
    first, second, *rest = [int(part) for part in dotted.split(".")]
    out = bytes([40 * first + second])
    for part in rest:
        digits = [part & 127]
        while part > 127:
            part >>= 7
            digits.append(128 | (part & 127))
        out += bytes(reversed(digits))
    return tlv(0x06, out)


def generalized_time(when):
    """Unix seconds; or text, which goes in as it is."""
    if not isinstance(when, str):
        moment = datetime.datetime.fromtimestamp(
            int(when), datetime.timezone.utc)
        when = moment.strftime("%Y%m%d%H%M%SZ")
    return tlv(0x18, when.encode())


def read(data):
    """bytes -> (tag, content, whole, rest); content and rest are bytes."""
    tag, length, at = data[0], data[1], 2
    if length & 128:
        size = length & 127
        length = int.from_bytes(data[2:2 + size], "big")
        at = 2 + size
    if len(data) < at + length:
        raise ValueError("DER is cut short")
    end = at + length
    return tag, data[at:end], data[:end], data[end:]


def children(content):
    """The elements inside a constructed value: [(tag, content, whole)]."""
    found = []
    while content:
        tag, inner, whole, content = read(content)
        found.append((tag, inner, whole))
    return found
