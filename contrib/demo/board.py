"""The drawing board's WebSocket process: everybody's strokes to everybody,
and the whole board to those who come later.

usage: board.py SOCKET        (a unix socket to listen on)
"""
import asyncio
import collections
import itertools
import json
import re
import signal
import sys

import websockets

NAMES = ("Ada", "Ben", "Cleo", "Dag", "Eva", "Finn", "Gro", "Hal")
COLOURS = ("#1c7ed6", "#e8590c", "#2f9e44", "#7048e8",
           "#d6336c", "#0c8599", "#b08900", "#5f3dc4")
WIDTH, HEIGHT, PEN_MAX = 1600, 1000, 60
MESSAGE_MAX = 64 * 1024     # bytes of one message
POINTS_MAX = 200_000        # on the board; the oldest strokes give way
QUEUE_MAX = 2000            # messages one slow browser may be behind
CHUNK_POINTS = 4000         # history goes out in messages of about this size
ID = re.compile(r"[0-9]{1,9}-[0-9]{1,9}\Z")
COLOUR = re.compile(r"#[0-9a-f]{6}\Z")


class Person:
    def __init__(self, number):
        self.number = number
        self.name = NAMES[(number - 1) % len(NAMES)]
        self.colour = COLOURS[(number - 1) % len(COLOURS)]
        self.queue = asyncio.Queue(QUEUE_MAX)

    def tell(self, **message):
        """None in the queue ends the connection: this one is too slow."""
        if self.queue.full():
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)
            return
        self.queue.put_nowait(json.dumps(message, separators=(",", ":")))


def is_number(value, top):
    return type(value) is int and 0 <= value <= top


def is_ink(message, person):
    """A piece of a stroke, of this person's own."""
    points = message.get("p")
    return (isinstance(message.get("id"), str) and ID.match(message["id"]) and
            message["id"].split("-")[0] == str(person.number) and
            isinstance(message.get("c"), str) and COLOUR.match(message["c"])
            and is_number(message.get("w"), PEN_MAX) and
            isinstance(points, list) and len(points) >= 2 and
            len(points) % 2 == 0 and
            all(is_number(x, WIDTH) for x in points[::2]) and
            all(is_number(y, HEIGHT) for y in points[1::2]))


class Board:
    def __init__(self):
        self.people = {}
        self.numbers = itertools.count(1)
        self.strokes = collections.OrderedDict()
        self.points = 0

    def tell_all(self, **message):
        for person in self.people.values():
            person.tell(**message)

    def tell_people(self):
        self.tell_all(t="people", people=[
            {"n": person.number, "name": person.name, "c": person.colour}
            for person in self.people.values()])

    def tell_history(self, person):
        chunk, size = [], 0
        for stroke in self.strokes.values():
            chunk.append(stroke)
            size += len(stroke["p"])
            if size > 2 * CHUNK_POINTS:
                person.tell(t="board", strokes=chunk)
                chunk, size = [], 0
        person.tell(t="board", strokes=chunk)

    def keep(self, ink):
        stroke = self.strokes.setdefault(
            ink["id"], {"id": ink["id"], "c": ink["c"], "w": ink["w"],
                        "p": []})
        stroke["p"] += ink["p"]
        self.points += len(ink["p"])
        while self.points > 2 * POINTS_MAX and len(self.strokes) > 1:
            _, old = self.strokes.popitem(last=False)
            self.points -= len(old["p"])

    def take(self, person, message):
        kind = message.get("t")
        if kind == "ink" and is_ink(message, person):
            ink = {key: message[key] for key in ("id", "c", "w", "p")}
            self.keep(ink)
            self.tell_all(t="ink", n=person.number, **ink)
        elif (kind == "at" and is_number(message.get("x"), WIDTH) and
              is_number(message.get("y"), HEIGHT)):
            self.tell_all(t="at", n=person.number, x=message["x"],
                          y=message["y"])
        elif kind == "clear":
            self.strokes.clear()
            self.points = 0
            self.tell_all(t="clear", n=person.number)

    async def meet(self, socket):
        """One browser, from its coming to its going."""
        person = Person(next(self.numbers))
        person.tell(t="hello", n=person.number, name=person.name)
        self.tell_history(person)
        self.people[person.number] = person
        self.tell_people()
        sender = asyncio.create_task(send_queue(person, socket))
        try:
            async for text in socket:
                message = json.loads(text)
                if isinstance(message, dict):
                    self.take(person, message)
        except (ValueError, websockets.ConnectionClosed):
            pass        # no JSON, or gone without a word
        finally:
            del self.people[person.number]
            sender.cancel()
            self.tell_people()


async def send_queue(person, socket):
    try:
        while (text := await person.queue.get()) is not None:
            await socket.send(text)
        await socket.close(1013, "too slow")
    except websockets.ConnectionClosed:
        pass            # the reader sees it too


async def serve(path):
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with websockets.unix_serve(
            Board().meet, path, max_size=MESSAGE_MAX):
        print("listening on", path, flush=True)
        await stop.wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(serve(sys.argv[1]))
