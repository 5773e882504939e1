"""
Compares what a server says of its instruments with what was sent to it: an independent recomputation, with the standard library alone.

The laws. Every trade that was sent is stored once, as it was sent, or lies in a gap that is on record, or was set aside; nothing else is stored. Every candle,
wherever it is asked for, is what the stored trades and the venue's own candles make of it.

usage: check.py FOLDER SEED URL
  FOLDER holds facts.jsonl (what was sent), and after a stop stored/ and archived/ (the rows of the store)
prints {"instruments", "trades", "candles", "differences": [...]}
"""

import http.client
import itertools
import json
import os
import random
import sys
import urllib.parse
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from time import sleep

SECOND = 1_000
LENGTHS = {
    "1s": 1, "5s": 5, "10s": 10, "30s": 30, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200,
    "4h": 14400, "6h": 21600, "12h": 43200, "1d": 86400, "3d": 259200, "1w": 604800,
}  # fmt: skip
RESOLUTIONS = {"5S": "5s", "1": "1m", "3": "3m", "5": "5m", "60": "1h", "1D": "1d", "1W": "1w"}
VALUES = ("open", "high", "low", "close", "volume")
FIRST_MONDAY = 4 * 86_400 * SECOND
DIFFERENCES_MAX = 300
# What was sent within so many places of the end of a life that was killed may not have been taken.
KILLED_PLACES = 400
SETTLES_SECONDS = 3
# A difference that stays the same for so long is one: what is still on its way has changed it by then. A venue that may be asked ten times a second
# gives the candles of a hundred gaps within this time.
SAME_SECONDS = 45
# And so long all judgements together wait.
patience_seconds = 900

folder, seed, url = sys.argv[1:4]
choose = random.Random(int(seed))
server = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc, timeout=60)
differences = []


def differ(text):
    if len(differences) < DIFFERENCES_MAX:
        differences.append(text)


def ask(path):
    server.request("GET", path)
    answer = server.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {body[:300]}")
    return json.loads(body)


def epoch_ms(text):
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def opening_of(time, interval):
    origin = FIRST_MONDAY if interval == "1w" else 0
    length = LENGTHS[interval] * SECOND
    return (time - origin) // length * length + origin


class Instrument:
    def __init__(self, name, kind, numbered):
        self.name, self.kind, self.numbered = name, kind, numbered
        self.trades = {}
        self.sent = {}  # number -> (place, life)
        self.again = set()  # numbers that were sent again in a later life
        self.adopted = {}  # number -> place, where only the server can know which of two sendings counts
        self.given = defaultdict(list)  # (interval, time) -> [(values, trades, life)]
        self.wild = set()

    def has_history(self):
        return self.numbered or self.kind in ("kraken-v1", "upbit")

    def key(self, trade):
        """What a trade is known by in answers: its id, or where the source gives none, its fields."""
        if self.kind in ("micros", "file-jsonl"):
            return (trade["time"], trade["price"], trade["quantity"], trade["side"])
        return trade["id"]

    def rank(self, trade):
        """The order in which trades count: by time, and within a millisecond as the source tells it."""
        place = self.adopted.get(trade["number"], self.sent.get(trade["number"], (1 << 60, 0))[0])
        if self.kind in ("kraken-v1", "micros"):
            return (trade["time"], trade["micros"], place)
        if self.kind in ("arrival", "file-csv", "file-jsonl"):
            return (trade["time"], trade["micros"] if self.kind == "file-csv" else 0, place)
        return (trade["time"], trade["number"], 0)


def load():
    instruments, killed, life, newest_place, read_up_to = {}, set(), 0, defaultdict(int), 0
    for line in open(os.path.join(folder, "facts.jsonl"), "rb"):
        if not line.endswith(b"\n"):
            continue
        read_up_to += len(line)
        fact = json.loads(line)
        what = fact["fact"]
        if what == "instrument":
            instruments[fact["instrument"]] = Instrument(fact["instrument"], fact["kind"], fact["numbered"])
        elif what == "trade":
            instruments[fact["instrument"]].trades[fact["number"]] = fact
        elif what == "sent":
            instruments[fact["instrument"]].sent[fact["number"]] = (fact["place"], life)
            source = fact["instrument"].split(":")[0]
            newest_place[(source, life)] = max(newest_place[(source, life)], fact["place"])
        elif what == "again":
            one = instruments[fact["instrument"]]
            if one.sent[fact["number"]][1] != life:
                one.again.add(fact["number"])
        elif what == "given":
            instruments[fact["instrument"]].given[(fact["interval"], fact["time"])].append((fact["values"], fact.get("trades", 0), life))
        elif what == "wild":
            instruments[fact["instrument"]].wild.add(fact["id"])
        elif what == "killed":
            killed.add(life)
            life += 1
        elif what == "deaf":
            differ(f"the stream of life {fact['life']}: {fact['error']}")
    return instruments, killed, newest_place, life, read_up_to


def load_news():
    """What watchers have been told, and what the venues have given, since this was read last."""
    global told_up_to
    with open(os.path.join(folder, "facts.jsonl"), "rb") as file:
        file.seek(told_up_to)
        for line in file:
            if not line.endswith(b"\n"):
                break
            told_up_to += len(line)
            if line.startswith(b'{"fact":"told"'):
                fact = json.loads(line)
                told[fact["channel"]].append(fact)
            elif told_up_to > read_up_to and line.startswith(b'{"fact":"given"'):
                fact = json.loads(line)
                instruments[fact["instrument"]].given[(fact["interval"], fact["time"])].append((fact["values"], fact.get("trades", 0), last_life))


instruments, killed, newest_place, last_life, read_up_to = load()
told, told_up_to = defaultdict(list), 0
load_news()


def stored_trades(one):
    """All trades over the API, page by page, oldest first, in either order."""
    rows, cursor = [], None
    order = choose.choice(["asc", "desc"])
    first = min((trade["time"] for trade in one.trades.values()), default=0)
    while True:
        limit = choose.choice([7, 50, 500, 500, 500])
        at = f"/api/v1/instruments/{one.name}/trades?order={order}&limit={limit}&from={first}" + (f"&cursor={cursor}" if cursor else "")
        answer = ask(at)
        rows += answer["rows"]
        cursor = answer["nextCursor"]
        if answer["hasMore"] != (cursor is not None):
            differ(f"{one.name}: hasMore is {answer['hasMore']} with the cursor {cursor}")
        if cursor is None:
            return rows if order == "asc" else rows[::-1]


def judge_trades(one, rows, first_stored=None, stored_since=frozenset()):
    """
    Each stored trade is one that there was, once, in its place; each that is missing is accounted for. Returns those that are stored.
    @param stored_since numbers of trades that have been stored after these rows were read
    """
    by_key = {one.key(trade): trade for trade in one.trades.values()}
    found, wild = [], []
    for time, price, quantity, side, id in rows:
        row = {"time": time, "price": price, "quantity": quantity, "side": side, "id": id}
        trade = by_key.get(one.key(row))
        if trade is None:
            if id in one.wild:
                wild.append(row)
                continue
            differ(f"{one.name}: {row} is stored, and there was no such trade")
            continue
        if any(trade[name] != row[name] for name in ("time", "price", "quantity", "side")):
            differ(f"{one.name}: stored as {row}, sent as {trade}")
        found.append(trade)
    numbers = [trade["number"] for trade in found]
    adopt_places(one, found)
    if len(set(numbers)) != len(numbers):
        differ(f"{one.name}: stored twice: {sorted(n for n in set(numbers) if numbers.count(n) > 1)}")
    if not wild and [one.rank(trade) for trade in found] != sorted(one.rank(trade) for trade in found):
        differ(f"{one.name}: the order is {numbers}, it should be {[t['number'] for t in sorted(found, key=one.rank)]}")
    first = by_key.get(one.key(first_stored)) if first_stored else None
    judge_missing(one, set(numbers), first and came_first(one, first["number"], numbers), stored_since)
    return found, wild


def adopt_places(one, found):
    """
    Where arrival is the order, a trade that a kill took back and that was sent again in the next life may count at either place. Its place among those of
    its millisecond is then the server's word.
    """
    for time, group in itertools.groupby(found, key=lambda trade: trade["time"]):
        group = list(group)
        if any(trade["number"] in one.again and one.sent[trade["number"]][1] in killed for trade in group):
            for place, trade in enumerate(group):
                one.adopted[trade["number"]] = place


def came_first(one, number, stored):
    """What is kept back while a venue's past is asked is stored in its order: an older one that came later is then stored before the first that came."""
    place, life = one.sent.get(number, (None, None))
    before = [other for other in stored if other in one.sent and one.sent[other][1] == life and one.sent[other][0] < place] if place is not None else []
    return min(before, key=lambda other: one.sent[other][0], default=number)


def judge_missing(one, stored, first, stored_since):
    """@param first the trade that was stored first, where that is known"""
    missing = [trade for number, trade in one.trades.items() if number not in stored | stored_since and may_be_expected(one, number)]
    if not missing:
        return
    gaps = ask(f"/api/v1/instruments/{one.name}/quality")["gaps"]
    if first is None:
        # What was before the first that ever came is not missed, also where an older one came later: again, after a kill that lost it. How much a kill
        # lost is not told here: the first of each life may be the first of all. The store tells it, and is judged by that.
        firsts = {}
        for number in stored & one.sent.keys():
            place, life = one.sent[number]
            firsts[life] = min(firsts.get(life, (place, number)), (place, number))
        first = max((number for _, number in firsts.values()), default=None)
    last = max(stored, default=None)
    first_place = one.sent.get(first, (0, None))[0]
    for trade in missing:
        number = trade["number"]
        place, life = one.sent.get(number, (None, None))
        if any(epoch_ms(gap["startedAt"]) <= trade["time"] <= epoch_ms(gap["endedAt"]) for gap in gaps):
            continue
        if place is None and (first is None or number < first or number > last):
            continue
        # Frames may be out of order: a trade after the first one in time may have been sent before it.
        is_before = first is None or number < first or (place is not None and place < first_place)
        if life in killed and (is_before or newest_place[(one.name.split(":")[0], life)] - place < KILLED_PLACES):
            # What the venue's past has not, either, leaves a trace where trades are numbered.
            leaves_trace = one.has_history() and (one.numbered or not trade["isForgotten"])
            if not leaves_trace or is_before or number > last:
                continue
        differ(f"{one.name}: trade {number} {trade['id']} of {trade['time']} ({'sent in life %s' % life if life is not None else 'not sent'}) is lost; stored {sorted(stored)}, gaps {gaps}")


def may_be_expected(one, number):
    if number in one.sent:
        return True
    # Where trades are not numbered, what is neither sent nor in the venue's past leaves no trace.
    return one.numbered or (one.has_history() and not one.trades[number]["isForgotten"])


def candles_of(interval, trades, given):
    """What the candles of an interval are: {opening: (open, high, low, close, volume, trades)}."""
    parts = defaultdict(lambda: ([], []))
    for trade in trades:
        parts[opening_of(trade["time"], interval)][0].append(trade)
    for (size, time), (values, count) in given.items():
        if LENGTHS[interval] % LENGTHS[size] == 0:
            parts[opening_of(time, interval)][1].append((time, time + LENGTHS[size] * SECOND, values, count))
    candles = {}
    for opening, (inside, whole) in parts.items():
        largest = [a for a in whole if not any(b is not a and b[0] <= a[0] and b[1] >= a[1] for b in whole)]
        outside = [trade for trade in inside if not any(start <= trade["time"] < end for start, end, _, _ in largest)]
        pieces = [(start, -1, values, count) for start, _, values, count in largest]
        for trade in outside:
            price = float(trade["price"])
            pieces.append((trade["time"], trade["place"], (price, price, price, price, trade["quantity"]), 1))
        pieces.sort(key=lambda piece: (piece[0], piece[1]))
        if not pieces:
            continue
        values = [piece[2] for piece in pieces]
        volume = sum((Decimal(str(v[4])) for v in values), Decimal(0))
        candles[opening] = (
            values[0][0], max(v[1] for v in values), min(v[2] for v in values), values[-1][3], float(volume),
            sum(piece[3] for piece in pieces),
        )  # fmt: skip
    return candles


def given_in_force(one, rows_of, trades, may_be_open=False):
    """The venue's own candles that count, by what the server says: each must be one that the venue gave, and where it gave several, the newest."""
    given = {}
    for interval in ("1m", "5m", "15m", "1h"):
        times = sorted(time for size, time in one.given if size == interval)
        if not times:
            continue
        rows = {row[0]: tuple(row[1:6]) for row in rows_of(interval)}
        expected = candles_of(interval, trades, given)
        for time in times:
            options = one.given[(interval, time)]
            row = rows.get(time)
            if row is not None and time in expected and row == expected[time][:5] and one.kind != "poll-candles":
                continue  # The trades say the same, or it was not taken in the place of what they say.
            may_be_lost = any(life in killed for _, _, life in options)
            match = next((option for option in reversed(options) if tuple(map(float, option[0])) == row), None)
            if row is None and (may_be_lost or (may_be_open and time == times[-1])):
                continue
            if match is None:
                if one.kind == "poll-candles" or row not in (None, expected.get(time, (None,) * 6)[:5]):
                    differ(f"{one.name}: the candle {interval} {time} is {row}, the venue gave {[o[0] for o in options[-3:]]}, the trades say {expected.get(time)}")
                continue
            if one.kind == "poll-candles" and match[0] != options[-1][0] and options[-1][2] not in killed:
                differ(f"{one.name}: the candle {interval} {time} is {row}, the newest that the venue gave is {options[-1][0]}")
            given[(interval, time)] = (match[0], match[1])
    return given


def candle_rows(one, interval):
    first = min([trade["time"] for trade in one.trades.values()] + [time for _, time in one.given], default=0)
    return ask(f"/api/v1/instruments/{one.name}/candles?interval={interval}&order=asc&limit=20000&from={opening_of(first, interval)}")["rows"]


def with_places(one, trades):
    return [{**trade, "place": index} for index, trade in enumerate(sorted(trades, key=one.rank))]


def compare(where, expected, actual):
    for time in sorted(set(expected) | set(actual)):
        if expected.get(time) != actual.get(time):
            differ(f"{where} {time}: is {actual.get(time)}, should be {expected.get(time)}")


def judge_candles(one, trades):
    cache = {}

    def rows_of(interval):
        if interval not in cache:
            cache[interval] = candle_rows(one, interval)
        return cache[interval]

    given = given_in_force(one, rows_of, trades)
    count = 0
    for interval in choose.sample(list(LENGTHS), 2):
        expected = {time: candle[:5] for time, candle in candles_of(interval, trades, given).items()}
        actual = {row[0]: tuple(map(float, row[1:6])) for row in rows_of(interval)}
        compare(f"{one.name} REST {interval}", expected, actual)
        count += len(expected)
    for resolution in choose.sample(list(RESOLUTIONS), 1):
        first = min((trade["time"] for trade in trades), default=0) // 1000 - 8 * 86_400
        answer = ask(f"/udf/history?symbol={one.name}&resolution={resolution}&from={first}&to=4000000000")
        expected = {time: candle[:5] for time, candle in candles_of(RESOLUTIONS[resolution], trades, given).items()}
        actual = {}
        if answer["s"] == "ok":
            columns = zip(answer["t"], answer["o"], answer["h"], answer["l"], answer["c"], answer["v"])
            actual = {round(t * 1000): tuple(map(float, values)) for t, *values in columns}
        compare(f"{one.name} UDF {resolution}", expected, actual)
    return count, given


def judge_told_trades(one, trades):
    """What watchers were told in the last life: each trade once, and none that is not stored."""
    keys = {one.key(trade) for trade in trades}
    seen = set()
    for fact in told.get(f"trades:{one.name}", []):
        if fact["life"] != last_life:
            continue
        key = one.key(fact)
        if key in seen:
            differ(f"{one.name}: trade {key} was told twice")
        seen.add(key)
        if key not in keys and fact["id"] not in one.wild:
            differ(f"{one.name}: trade {key} was told and is not stored")


def judge_told_candles(one, trades, given):
    """What watchers were told in the last life: of each candle at last what it is."""
    for interval in ("1m", "5s"):
        newest = {}
        for fact in told.get(f"candles:{one.name}:{interval}", []):
            if fact["life"] == last_life:
                newest[fact["time"]] = fact
        if not newest:
            continue
        expected = candles_of(interval, trades, given)
        for time, fact in newest.items():
            values = tuple(float(fact[name]) for name in VALUES)
            if expected.get(time, (None,) * 6)[:5] != values:
                differ(f"{one.name} stream {interval} {time}: was told last {values}, closed {fact['closed']}, should be {expected.get(time)}")


def load_rows(name, table):
    path = os.path.join(folder, name, f"{table}.jsonl")
    rows = defaultdict(list)
    if os.path.exists(path):
        for line in open(path):
            row = json.loads(line)
            rows[row["instrument"]].append(row)
    return rows


def judge_store(one, name, rows, candles, stored_since):
    """The rows of the store as it was stopped: trades as they were sent, and of each closed candle every version, the newest of which is what it is."""
    fields = ("time", "price", "quantity", "side", "id")
    ordered = sorted(rows, key=lambda row: (row["time"], row["rank"], row["arrival"]))
    first_stored = min(rows, key=lambda row: row["arrival"], default=None)
    found, wild = judge_trades(one, [[row[field] for field in fields] for row in ordered], first_stored, stored_since)
    if wild:
        return
    trades = with_places(one, found)
    versions = defaultdict(list)
    for row in candles:
        versions[(row["interval"], row["time"])].append(row)
    newest = {key: max(all_rows, key=lambda row: row["version"]) for key, all_rows in versions.items()}

    def rows_of(interval):
        return [[row["time"]] + [row[field] for field in VALUES] for (size, _), row in newest.items() if size == interval]

    given = given_in_force(one, rows_of, trades, may_be_open=True)
    for (interval, time), all_rows in versions.items():
        numbers = sorted(row["version"] for row in all_rows)
        if numbers != list(range(1, len(numbers) + 1)):
            differ(f"{one.name} {name} {interval} {time}: its versions are {numbers}")
    for interval in LENGTHS:
        expected = candles_of(interval, trades, given)
        newest_time = max(expected, default=0)
        stored = {time: row for (size, time), row in newest.items() if size == interval}
        for time in sorted(set(expected) | set(stored)):
            row = stored.get(time)
            if row is None and time == newest_time:
                continue  # It is open.
            actual = row and tuple(float(row[field]) for field in VALUES) + (row["trades"],)
            if actual != expected.get(time):
                differ(f"{one.name} {name} {interval} {time}: is {row}, should be {expected.get(time)}")


def settled(judge):
    """What a judgement gives once nothing moves any more: a gap may be filled again while it is asked, and a watcher be told of it sooner than the store has it."""
    global patience_seconds
    samples, last, same_seconds = choose.getstate(), [], 0
    while True:
        before = len(differences)
        choose.setstate(samples)
        result = judge()
        found = differences[before:]
        same_seconds = same_seconds + SETTLES_SECONDS if found == last else 0
        if not found or same_seconds >= SAME_SECONDS or patience_seconds <= 0:
            return result
        last = found
        del differences[before:]
        patience_seconds -= SETTLES_SECONDS
        sleep(SETTLES_SECONDS)
        load_news()


def judge_answers(one, is_again):
    """What is answered over HTTP, and what watchers were told; after a restart these were cut off where the server was stopped. Returns the trades, and how many candles."""
    found, wild = judge_trades(one, stored_trades(one))
    if wild:  # The place of a wild one among the others nobody can say.
        return found, 0
    trades = with_places(one, found)
    count, given = judge_candles(one, trades)
    load_news()
    judge_told_trades(one, trades)
    if not is_again:
        judge_told_candles(one, trades, given)
    return found, count


def main():
    tables = {name: (load_rows(name, "trades"), load_rows(name, "candles")) for name in ("stored", "archived")}
    is_again = any(rows for rows, _ in tables.values())
    trade_count = candle_count = 0
    known = {one["id"] for one in ask("/api/v1/instruments?limit=1000")["data"]}
    for one in instruments.values():
        if one.name not in known:
            differ(f"{one.name} is unknown")
            continue
        found, count = settled(lambda: judge_answers(one, is_again))
        trade_count += len(found)
        candle_count += count
        stored_since = {trade["number"] for trade in found}
        for name, (rows, candles) in tables.items():
            if is_again:
                judge_store(one, name, rows[one.name], candles[one.name], stored_since)
    json.dump({"instruments": len(instruments), "trades": trade_count, "candles": candle_count, "differences": differences}, sys.stdout)


main()
