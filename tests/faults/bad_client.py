"""A live client that behaves badly, in a process of its own: `python bad_client.py PORT LABEL_SET MANNER`.

Plain sockets, nothing imported but the standard library: it speaks the protocol as its page describes it
(docs/protocol.md), and shares no code with the server. It prints what it has come to, a word a line.

    half    sees a frame, then sends the first half of a patch and no more
    still   sees a frame, then neither reads nor sends
    deaf    reads nothing after `ready`, and sends patch upon patch
    chatty  reads nothing after `ready`, and says what is answered, until nothing goes out any more
"""

import json
import os
import select
import socket
import struct
import sys
import time

SIDE = 64
TEXT, BINARY = 1, 2


def frame(opcode: int, payload: bytes) -> bytes:
    """A masked WebSocket frame (RFC 6455, 5.2); the mask is 0, so the payload stays as it is."""
    length = len(payload)
    short = struct.pack("!BB", 0x80 | opcode, 0x80 | length) if length < 126 else b""
    return (short or struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)) + bytes(4) + payload


def cells(kind: int, revision: int, x: int, y: int, width: int, height: int, label: int) -> bytes:
    """A rectangle of one label, raw."""
    head = struct.pack("<BBHIIHHHH", kind, 0, 0, 1, revision, x, y, width, height)
    return head + bytes([label]) * width * height


def opening(label_set: str) -> bytes:
    document = {"type": "open", "epoch": 1, "width": SIDE, "height": SIDE, "model": None, "seed": 1}
    return json.dumps(document | {"label_set": label_set}).encode()


def read_message(line: socket.socket) -> tuple[int, bytes]:
    """The next message of the server; it sends none in pieces."""
    opcode, length = line_bytes(line, 2)
    length = {126: lambda: struct.unpack("!H", line_bytes(line, 2))[0]}.get(length, lambda: length)()
    return opcode & 15, line_bytes(line, length)


def line_bytes(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = line.recv(count - len(data))
        if not piece:
            raise ConnectionError("the server hung up")
        data += piece
    return data


def connected(port: int, label_set: str) -> socket.socket:
    """A line whose document is open, its whole map sent."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before connecting: the window follows it
    line.connect(("127.0.0.1", port))
    line.sendall(
        f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: scenebrush.live.v2\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += line_bytes(line, 1)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    line.sendall(frame(TEXT, opening(label_set)))
    opcode, ready = read_message(line)
    assert opcode == TEXT, ready
    assert json.loads(ready)["type"] == "ready", ready
    line.sendall(frame(BINARY, cells(2, 1, 0, 0, SIDE, SIDE, 1)))
    return line


def see_a_frame(line: socket.socket) -> None:
    while read_message(line)[0] != BINARY:
        pass


def say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


def paint_deaf(line: socket.socket) -> None:
    """Patch upon patch, until the server hangs up."""
    revision = 1
    try:
        while True:
            revision += 1
            line.sendall(frame(BINARY, cells(1, revision, 4, 4, 8, 8, revision % 9)))
            if revision == 20:
                say("sending")
            time.sleep(0.02)
    except OSError:
        say("dropped")


def chat_deaf(line: socket.socket, label_set: str) -> None:
    """The same document again, which is refused at length each time; until nothing goes out any more, and
    then until the server hangs up."""
    line.settimeout(2.0)
    try:
        while True:
            line.sendall(frame(TEXT, opening(label_set)) * 16)
    except TimeoutError:
        say("blocked")
    except OSError:
        say("dropped")
        return
    over = select.poll()
    over.register(line, 0)  # errors and the end are always reported
    over.poll()
    say("dropped")


def main() -> None:
    port, label_set, manner = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    line = connected(port, label_set)
    if manner == "deaf":
        paint_deaf(line)
    elif manner == "chatty":
        chat_deaf(line, label_set)
    else:
        see_a_frame(line)
        if manner == "half":
            patch = frame(BINARY, cells(1, 2, 0, 0, 32, 32, 3))
            line.sendall(patch[: len(patch) // 2])
        say(manner)
        time.sleep(3600)


if __name__ == "__main__":
    main()
