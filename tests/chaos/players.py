"""
Plays in a world with many players at once while somebody else breaks things, and keeps books of what each of them was told; at the end compares the books
with what the server says. Written from docs/protocols/world.md with the standard library alone; shares no code with Millrace but the reading of MessagePack.

usage: players.py URL TCP_PORT PLAYERS SEED FOLDER
  reads lines from standard input: `fault NAME` notes a fault, `calm` ends the play: what is under way is waited for, then everything is compared
prints one line of JSON: {"commands", "accepted", "answered", "unanswered", "differences": [...]}
"""

import asyncio
import json
import os
import random
import struct
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "clients", "python"))
from millrace_world import pack, unpack  # noqa: E402

url, tcp_port, count, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
DIFFERENCES_MAX = 200
REACH_CM = 280
# After a crash the zone may have lost what was answered in the moments before.
LOSSY_FAULTS = ("kill-host", "kill-server", "restore")
LOSSY_SECONDS = 6.0
ANSWER_SECONDS = 20.0
ACCEPTED_BACK = 48

differences = []
totals = {"commands": 0, "accepted": 0, "answered": 0, "learned": 0, "lost": 0}
faults = []  # (when, name)
is_calm = False


def differ(text):
    if len(differences) < DIFFERENCES_MAX:
        differences.append(text)


def was_lossy(since):
    return any(name.startswith(LOSSY_FAULTS) and when > since - LOSSY_SECONDS for when, name in faults)


def pack_any(value):
    """What `pack` does not: lists of numbers."""
    if isinstance(value, dict):
        return bytes([0x80 | len(value)]) + b"".join(pack_any(key) + pack_any(entry) for key, entry in value.items())
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(pack_any(entry) for entry in value)
    return pack(value)


class Player:
    def __init__(self, index, token, player):
        self.index, self.token, self.id = index, token, player
        self.random = random.Random(seed * 1_000 + index)
        self.resume = None
        self.session = None
        self.n = 0
        self.sent = {}  # n -> (frame, when, connection)
        self.answers = {}  # n -> "ok" | code | "accepted" | "not accepted"
        self.answered_at = {}
        self.you = None
        self.zone = None
        self.joined = False
        self.objects = {}
        self.last_notice = 0
        self.taken = set()  # Every item that this player ever asked for.
        self.edited = False
        self.connection = 0
        self.writer = None
        self.byes = []
        self.done = asyncio.Event()

    def fault(self, text):
        differ(f"{self.id}: {text}")

    async def live(self):
        """Connects again and again until calm, and then stays until all is answered."""
        while not self.done.is_set():
            try:
                await self.connect()
            except (ConnectionError, OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                pass
            self.writer = None
            await asyncio.sleep(0.05 + self.random.random() * 0.4)

    async def connect(self):
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", tcp_port), 5)
        self.writer = writer
        self.connection += 1
        mine = self.connection
        acting = None
        try:
            unanswered = [n for n in self.sent if n not in self.answers]
            if self.resume and self.random.random() < 0.8:
                self.write({"t": "hello", "v": 1, "resume": self.resume, "last": self.last_notice, "unanswered": unanswered[-64:]})
            else:
                self.write({"t": "hello", "v": 1, "token": self.token})
            while mine == self.connection and not self.done.is_set():
                head = await asyncio.wait_for(reader.readexactly(4), 40)
                frame, _ = unpack(await reader.readexactly(struct.unpack(">I", head)[0]))
                self.take(frame)
                if frame["t"] == "welcome":
                    acting = asyncio.create_task(self.act(mine))
                if frame["t"] == "bye":
                    if frame["code"] in ("UNKNOWN_SESSION", "REPLACED", "KICKED"):
                        self.resume = None
                    if frame["code"] not in ("UNKNOWN_SESSION", "REPLACED", "KICKED", "SERVER_STOPPING", "WORLD_STARTING", "SLOW_CONSUMER", "SILENT"):
                        self.fault(f"bye {frame['code']}: {frame['message']}")
                    raise ConnectionError
        finally:
            if acting:
                acting.cancel()
            writer.close()

    def write(self, frame):
        body = pack_any(frame)
        self.writer.write(struct.pack(">I", len(body)) + body)

    def command(self, kind, **fields):
        self.n += 1
        totals["commands"] += 1
        self.sent[self.n] = ({"t": kind, **fields}, time.monotonic(), self.connection)
        self.write({"t": kind, "n": self.n, **fields})
        return self.n

    def new_session(self, session):
        """Whatever had no answer in the session before is never answered any more."""
        self.session = session
        self.n, self.sent, self.answers, self.answered_at = 0, {}, {}, {}
        self.joined, self.zone, self.you, self.objects, self.last_notice = False, None, None, {}, 0

    def take(self, frame):
        kind = frame["t"]
        if kind == "ping":
            self.write({"t": "pong", "id": frame["id"]})
        elif kind == "welcome":
            if frame["player"] != self.id:
                self.fault(f"was welcomed as {frame['player']}")
            if not frame["resumed"] or frame["session"] != self.session:
                self.new_session(frame["session"])
            self.resume = frame["resume"]
        elif kind in ("ok", "refused"):
            self.answer(frame)
        elif kind == "zone":
            self.arrive(frame)
        elif kind == "you":
            self.believe(frame["you"], "you")
        elif kind == "view":
            self.objects = {thing["id"]: thing for thing in frame["objects"]}
        elif kind == "update":
            for thing in frame.get("in", []):
                self.objects[thing["id"]] = thing
            for name, x, y in frame.get("at", []):
                if name in self.objects:
                    self.objects[name].update(x=x, y=y)
            for name in frame.get("out", []):
                self.objects.pop(name, None)
        elif kind == "notice":
            if frame["e"] <= self.last_notice:
                self.fault(f"notice {frame['e']} came after {self.last_notice}")
            self.last_notice = frame["e"]

    def answer(self, frame):
        n = frame["n"]
        code = "ok" if frame["t"] == "ok" else frame["code"]
        if n not in self.sent:
            return self.fault(f"an answer to {n}, which was not sent in this session: {frame}")
        before = self.answers.get(n)
        if before is not None and before not in ("accepted", "not accepted"):
            # Asked for again by `unanswered`, it may be told once more, the same.
            if (before == "ok") != (code == "ok"):
                self.fault(f"{n} {self.sent[n][0]} was answered {before}, and then {code}")
            return
        if before == "not accepted" and code == "ok":
            self.fault(f"{n} {self.sent[n][0]} was not among the accepted of a zone frame, and then ok")
        if before == "accepted" and code != "ok":
            self.fault(f"{n} {self.sent[n][0]} was among the accepted of a zone frame, and then {code}")
        self.answers[n] = code
        self.answered_at[n] = time.monotonic()
        totals["answered"] += 1
        if code != "ok":
            if self.you and "x" in frame:
                self.you.update(x=frame["x"], y=frame["y"])
            return
        totals["accepted"] += 1
        self.apply(n)

    def apply(self, n):
        command = self.sent[n][0]
        if command["t"] == "move" and self.you:
            self.you.update(x=command["x"], y=command["y"])
        elif command["t"] == "join":
            self.joined = True
        elif command["t"] == "leave":
            self.joined, self.zone = False, None

    def arrive(self, frame):
        """A zone frame says which commands were accepted: those that were answered otherwise contradict it."""
        accepted, newest = set(frame["accepted"]), frame["n"]
        now = time.monotonic()
        for n, (command, when, _) in self.sent.items():
            if n > newest or n <= newest - ACCEPTED_BACK:
                if n > newest and self.answers.get(n) == "ok" and command["t"] not in ("join", "leave") and not was_lossy(self.answered_at[n]):
                    self.fault(f"{n} {command} was answered ok, and a zone frame says that {newest} is the newest")
                continue
            known = self.answers.get(n)
            if n in accepted:
                if known is None:
                    self.answers[n] = "accepted"
                    totals["learned"] += 1
                elif known not in ("ok", "accepted"):
                    self.fault(f"{n} {command} was answered {known}, and a zone frame says it was accepted")
            elif known == "ok" and command["t"] not in ("join", "leave") and not was_lossy(self.answered_at.get(n, now)):
                self.fault(f"{n} {command} was answered ok, and a zone frame says it was not accepted")
        self.joined = True
        self.zone = frame["zone"]
        self.objects = {}
        self.believe(frame["you"], "zone")

    def believe(self, you, where):
        bag = [thing["id"] for thing in you["bag"]]
        if len(bag) != len(set(bag)):
            self.fault(f"its bag has something twice: {bag}")
        strange = [item for item in bag if item not in self.taken]
        if strange and not self.edited:
            self.fault(f"its bag has {strange} ({where}), which it never took")
        self.you = dict(you)

    async def act(self, mine):
        """Plays on this connection until it ends."""
        choose = self.random
        second = None
        while mine == self.connection and not is_calm:
            if not self.joined:
                if not any(self.sent[n][0]["t"] == "join" and n not in self.answers for n in self.sent):
                    self.command("join")
            elif self.you:
                self.play(choose)
            await asyncio.sleep(0.12 + choose.random() * 0.2)
            if choose.random() < 0.01:
                break
            if choose.random() < 0.004:
                second = asyncio.create_task(self.intrude())
        if is_calm:
            return
        if second:
            await second
        if self.writer:
            self.writer.transport.abort()

    async def intrude(self):
        """Somebody else says hello with the same token, joins, and is gone."""
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", tcp_port)
            for frame in ({"t": "hello", "v": 1, "token": self.token}, {"t": "join", "n": 1}):
                body = pack_any(frame)
                writer.write(struct.pack(">I", len(body)) + body)
            await asyncio.wait_for(reader.read(2_000), 2)
        except (ConnectionError, OSError, asyncio.TimeoutError):
            pass
        if writer:
            writer.close()

    def play(self, choose):
        near = [
            thing for thing in self.objects.values()
            if thing["kind"] not in ("player", "monster") and abs(thing["x"] - self.you["x"]) + abs(thing["y"] - self.you["y"]) < REACH_CM
        ]  # fmt: skip
        if near and choose.random() < 0.5:
            item = choose.choice(near)["id"]
            self.taken.add(item)
            self.command("take", item=item)
        elif self.you["bag"] and choose.random() < 0.05:
            self.command("use", item=choose.choice(self.you["bag"])["id"])
        elif choose.random() < 0.01:
            self.command("say", text="hello") if choose.random() < 0.6 else self.command("leave")
        else:
            things = [thing for thing in self.objects.values() if thing["kind"] not in ("player", "monster")]
            goal = choose.choice(things) if things and choose.random() < 0.6 else {"x": self.you["x"] + choose.randint(-900, 900), "y": self.you["y"] + choose.randint(-900, 900)}
            dx, dy = goal["x"] - self.you["x"], goal["y"] - self.you["y"]
            length = max(1.0, (dx * dx + dy * dy) ** 0.5)
            step = min(length, 60.0)
            self.command("move", x=max(0, round(self.you["x"] + dx / length * step)), y=max(0, round(self.you["y"] + dy / length * step)))

    def is_settled(self):
        """Whether it is in the world, with an answer to everything that was sent on this connection."""
        open_ones = [n for n, (_, _, connection) in self.sent.items() if n not in self.answers and connection == self.connection]
        return self.writer is not None and self.joined and self.you is not None and not open_ones


def ask(path, tries=40):
    for attempt in range(tries):
        try:
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError) as error:
            if attempt == tries - 1:
                raise RuntimeError(f"{path}: {error}") from error
            time.sleep(0.5)


def new_token(index):
    request = urllib.request.Request(
        url + "/api/v1/world/players", json.dumps({"name": f"chaos {index}"}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


async def listen(players):
    global is_calm
    loop = asyncio.get_running_loop()
    while True:
        line = (await loop.run_in_executor(None, sys.stdin.readline)).strip()
        if line.startswith("fault "):
            name = line[len("fault "):]
            faults.append((time.monotonic(), name))
            if name.startswith("edit "):
                for player in players:
                    player.edited = player.edited or player.id == name.split()[1]
            if name == "restore":
                for player in players:
                    player.edited = True
        elif line in ("calm", ""):
            is_calm = True
            return


async def settle(players):
    """Waits until everybody is in the world and answered."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for player in players:
            if player.writer and not player.joined and player.session:
                if not any(player.sent[n][0]["t"] == "join" and n not in player.answers for n in player.sent):
                    player.command("join")
        if all(player.is_settled() for player in players):
            await asyncio.sleep(1.0)
            if all(player.is_settled() for player in players):
                return
        await asyncio.sleep(0.2)
    for player in players:
        if not player.is_settled():
            open_ones = {n: (command, answer) for n, (command, _, _) in player.sent.items() if (answer := player.answers.get(n)) is None}
            player.fault(f"is not in the world again, or unanswered: connected {player.writer is not None}, joined {player.joined}, unanswered {open_ones}")


def judge(players):
    """What the server says of players and items, against what the players were told."""
    zones = [zone["zone"] for zone in ask("/api/v1/world/zones?limit=1000")["data"]]
    places, ground = {}, {}
    for zone in zones:
        moment = ask(f"/api/v1/world/zones/{zone}")
        for player in moment["players"]:
            places.setdefault(player["id"], []).append(zone)
        for item in moment["items"]:
            if item["id"] in ground:
                differ(f"{item['id']} lies in {ground[item['id']]} and in {zone}")
            ground[item["id"]] = zone
    carried = {}
    for player in players:
        if len(places.get(player.id, [])) != 1:
            differ(f"{player.id} stands in {places.get(player.id, 'no zone')}")
        stand = ask(f"/api/v1/world/players/{player.id}")
        truth = stand["player"]
        if truth is None:
            differ(f"{player.id} is nowhere, its client believes in {player.zone}")
            continue
        if stand["zone"] != player.zone:
            differ(f"{player.id} is in {stand['zone']}, its client believes in {player.zone}")
        bag = [item["id"] for item in truth["bag"]["items"]]
        believed = [item["id"] for item in player.you["bag"]] if player.you else []
        if sorted(bag) != sorted(believed):
            differ(f"{player.id} carries {sorted(bag)}, its client believes {sorted(believed)}")
        if player.you and (truth["position"]["x"], truth["position"]["y"]) != (player.you["x"], player.you["y"]):
            differ(f"{player.id} is at {truth['position']}, its client believes {player.you['x']}, {player.you['y']}")
        for item in bag:
            if item in carried:
                differ(f"{item} is carried by {carried[item]} and by {player.id}")
            if item in ground:
                differ(f"{item} is carried by {player.id} and lies in {ground[item]}")
            carried[item] = player.id


async def main():
    players = [Player(index, made["token"], made["player"]) for index in range(count) for made in [new_token(index)]]
    tasks = [asyncio.create_task(player.live()) for player in players]
    print(json.dumps({"ready": [player.id for player in players]}), flush=True)
    await listen(players)
    await settle(players)
    await asyncio.get_running_loop().run_in_executor(None, judge, players)
    for player in players:
        player.done.set()
    for task in tasks:
        task.cancel()
    print(json.dumps({**totals, "differences": differences}), flush=True)
    os._exit(0)


asyncio.run(main())
