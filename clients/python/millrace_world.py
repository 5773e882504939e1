#!/usr/bin/env python3
"""A small client of the Millrace world protocol, written from docs/protocols/world.md with Python's standard library alone.

    python3 millrace_world.py http://127.0.0.1:7420 Kim

It joins, prints the visible objects, takes a few steps, tries an impossible move, and has its position corrected.
"""
import json
import socket
import struct
import sys
import time
import urllib.request


def pack(value):
    """Encodes the part of MessagePack that a client sends: maps with string keys, 32-bit integers, strings."""
    if isinstance(value, dict):
        return bytes([0x80 | len(value)]) + b"".join(pack(key) + pack(entry) for key, entry in value.items())
    if isinstance(value, str):
        text = value.encode()
        return (bytes([0xA0 | len(text)]) if len(text) < 32 else b"\xda" + struct.pack(">H", len(text))) + text
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return b"\xce" + struct.pack(">I", value) if value >= 0 else b"\xd2" + struct.pack(">i", value)
    raise TypeError(f"cannot send {value!r}")


NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
LENGTHS = {0xD9: (">B", "text"), 0xDA: (">H", "text"), 0xDB: (">I", "text"), 0xC4: (">B", "bytes"), 0xC5: (">H", "bytes"),
           0xC6: (">I", "bytes"), 0xDC: (">H", "array"), 0xDD: (">I", "array"), 0xDE: (">H", "map"), 0xDF: (">I", "map")}


def unpack(body, at=0):
    """Decodes one value. Returns it and the offset of the next one."""
    first = body[at]
    at += 1
    if first < 0x80 or first >= 0xE0:
        return (first if first < 0x80 else first - 256), at
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], at
    if first in NUMBERS:
        size = struct.calcsize(NUMBERS[first])
        number = struct.unpack(NUMBERS[first], body[at:at + size])[0]
        return (int(number) if first == 0xCB and number.is_integer() else number), at + size
    if first < 0xC0:
        kind, length = ("map", first & 15) if first < 0x90 else ("array", first & 15) if first < 0xA0 else ("text", first & 31)
    else:
        form, kind = LENGTHS[first]
        length = struct.unpack(form, body[at:at + struct.calcsize(form)])[0]
        at += struct.calcsize(form)
    if kind in ("text", "bytes"):
        raw = bytes(body[at:at + length])
        return (raw.decode() if kind == "text" else raw), at + length
    if kind == "array":
        entries = []
        for _ in range(length):
            entry, at = unpack(body, at)
            entries.append(entry)
        return entries, at
    fields = {}
    for _ in range(length):
        key, at = unpack(body, at)
        fields[key], at = unpack(body, at)
    return fields, at


class World:
    def __init__(self, server, name):
        server = server.rstrip("/")
        request = urllib.request.Request(server + "/api/v1/world/players", json.dumps({"name": name}).encode(), {"content-type": "application/json"})
        token = json.load(urllib.request.urlopen(request))["token"]
        port = json.load(urllib.request.urlopen(server + "/api/v1/world"))["tcpPort"]
        self.socket = socket.create_connection((server.split("//")[1].split(":")[0], port), timeout=30)  # three heartbeats
        self.n, self.you, self.zone, self.objects, self.notices = 0, None, None, {}, []
        self.send({"t": "hello", "v": 1, "token": token})
        self.welcome = self.wait_for("welcome")

    def send(self, frame):
        body = pack(frame)
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def read(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("the server has closed the connection")
            data += piece
        return data

    def receive(self):
        """Receives the next frame and updates the state. Replies to pings. Raises ConnectionError after `bye`."""
        frame, _ = unpack(self.read(struct.unpack(">I", self.read(4))[0]))
        kind = frame["t"]
        if kind == "ping":
            self.send({"t": "pong", "id": frame["id"]})
        elif kind == "zone":
            self.zone, self.you = frame, frame["you"]
        elif kind == "you":
            self.you = frame["you"]
        elif kind == "view":
            self.objects = {thing["id"]: thing for thing in frame["objects"]}
        elif kind == "update":
            for thing in frame["in"]:
                self.objects[thing["id"]] = thing
            for name, x, y in frame["at"]:
                self.objects.get(name, {}).update(x=x, y=y)
            for name, fields in frame["set"]:
                self.objects.get(name, {}).update(fields)
            for name in frame["out"]:
                self.objects.pop(name, None)
        elif kind == "notice":
            self.notices.append(frame)
        elif kind == "bye":
            raise ConnectionError(f"{frame['code']}: {frame['message']}")
        return frame

    def wait_for(self, *kinds):
        while True:
            frame = self.receive()
            if frame["t"] in kinds:
                return frame

    def command(self, kind, **fields):
        """Sends a command and returns its reply."""
        self.n += 1
        self.send({"t": kind, "n": self.n, **fields})
        while True:
            reply = self.wait_for("ok", "refused")
            if reply["n"] == self.n:
                if "x" in reply:
                    self.you.update(x=reply["x"], y=reply["y"])
                return reply

    def move(self, x, y):
        reply = self.command("move", x=x, y=y)
        if reply["t"] == "ok":
            self.you.update(x=x, y=y)
        return reply


def main(server, name):
    world = World(server, name)
    print("joined", world.command("join")["t"])
    while world.zone is None or not world.objects:
        world.receive()
    print("zone", world.zone["zone"], "tiles", len(world.zone["blocked"]), "in sight", len(world.objects))
    x, y = world.you["x"], world.you["y"]
    for dx, dy in ((60, 0), (-60, 0), (0, 60), (0, -60)):
        time.sleep(0.2)
        reply = world.move(world.you["x"] + dx, world.you["y"] + dy)
        print("step", reply["t"], reply.get("code", ""))
    here = (world.you["x"], world.you["y"])
    reply = world.move(x, y + 3000 if y < 3000 else y - 3000)
    print("leap", reply["t"], reply["code"], "put right", (reply["x"], reply["y"]) == here)
    said = world.command("say", text="안녕")["t"]
    while not world.notices:
        world.receive()
    print("said", said, world.notices[-1]["text"])
    print("left", world.command("leave")["t"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Python")
