"""As much of HTTP/1.1 as a scripted server needs, on asyncio's streams."""

import asyncio
import re
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from tests.teacher.faults import Response

_HANG_SECONDS = 60


class HttpRequest(NamedTuple):
    """A request; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request of a connection, or None where the client has closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return HttpRequest(method, target.partition("?")[0], headers, body)


async def deliver(response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a response as its `delivery` says, to a client that may be gone."""
    if response.delivery == "hang":
        await _wait_for_the_client_to_leave(reader)
    if response.delivery in ("hang", "reset"):
        reset(writer)
        return
    if not is_there(reader, writer):
        writer.close()
        return
    head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\ncontent-length: {len(response.body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    sent = response.body[: len(response.body) // 2] if response.delivery == "half" else response.body
    writer.write(head.encode("latin-1") + b"\r\n" + sent)
    await writer.drain()
    if response.delivery == "half":
        await asyncio.sleep(0.01)  # else the reset may overtake what was sent
        reset(writer)


def is_there(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the client still listens."""
    return not (reader.at_eof() or writer.transport.is_closing())


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a crash would: with RST instead of FIN."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def read_multipart(request: HttpRequest) -> dict[str, bytes]:
    """The parts of a form by their names."""
    found = re.search(r'boundary="?([^";]+)', request.headers["content-type"])
    assert found is not None
    parts = {}
    for piece in request.body.split(b"--" + found[1].encode("latin-1"))[1:-1]:
        head, _, value = piece.partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]*)"', head)
        assert name is not None
        parts[name[1].decode()] = value.removesuffix(b"\r\n")
    return parts


async def _wait_for_the_client_to_leave(reader: asyncio.StreamReader) -> None:
    try:
        async with asyncio.timeout(_HANG_SECONDS):
            await reader.read(1)
    except (TimeoutError, ConnectionError):
        pass


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readline()
    return b"".join(chunks)
