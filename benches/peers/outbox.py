"""An outbox loop in Python as one would tune it by hand, standard library only: a thread and a keep-alive connection for
each request in flight, records spread over these (so that one record's events stay in order), events deleted in
groups and only below the oldest that is still under way, the file looked at every few milliseconds when idle."""

import http.client
import os
import queue
import sqlite3
import ssl
import threading
import time
import urllib.parse

FLIGHT = int(os.environ["PEER_FLIGHT"])
BATCH = int(os.environ["PEER_BATCH"])
URL = urllib.parse.urlsplit(os.environ["PEER_URL"])
GROUP = 500  # events that are read, and deleted, at once
PAUSE = 0.005

tls = ssl.create_default_context(cafile=os.environ["PEER_CA"])
db = sqlite3.connect(os.environ["PEER_DATABASE"], timeout=5, isolation_level=None)
db.execute("PRAGMA synchronous = NORMAL")


class Lane:
    """A connection, and the events of the records that belong to it."""

    def __init__(self):
        self.connection = http.client.HTTPSConnection(URL.hostname, URL.port, context=tls)

    def send(self, events):
        for at in range(0, len(events), BATCH):
            some = events[at : at + BATCH]
            body = some[0][1] if BATCH == 1 else "[" + ",".join(body for _, body in some) + "]"
            headers = {"Content-Type": "application/json", "Idempotency-Key": str(some[0][0])}
            while not self.posted(body.encode(), headers):
                time.sleep(0.1)

    def posted(self, body, headers):
        try:
            self.connection.request("POST", URL.path, body, headers)
            answer = self.connection.getresponse()
            answer.read()
            return 200 <= answer.status < 300
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return False


class Worker(threading.Thread):
    """A lane of its own thread."""

    def __init__(self):
        super().__init__(daemon=True)
        self.lane = Lane()
        self.todo = queue.SimpleQueue()
        self.start()

    def run(self):
        while True:
            events, done = self.todo.get()
            self.lane.send(events)
            done.release()


def read(after):
    return db.execute("SELECT seq, body FROM plain WHERE seq > ? ORDER BY seq LIMIT ?", (after, GROUP)).fetchall()


def alone():
    """One request at a time: no thread but this one."""
    lane, last = Lane(), 0
    while True:
        rows = read(last)
        if not rows:
            time.sleep(PAUSE)
            continue
        lane.send(rows)
        last = rows[-1][0]
        db.execute("DELETE FROM plain WHERE seq <= ?", (last,))


def together():
    """Several: groups are handed out ahead, so that no lane waits for the slowest, and deleted in their order."""
    workers = [Worker() for _ in range(FLIGHT)]
    last, under_way = 0, []
    while True:
        rows = read(last) if len(under_way) < 4 else []
        if rows:
            last = rows[-1][0]
            shares = [[] for _ in workers]
            for row in rows:
                # The trigger writes the record's number first: {"record":17,
                shares[int(row[1][10 : row[1].index(",")]) % FLIGHT].append(row)
            done, count = threading.Semaphore(0), 0
            for worker, share in zip(workers, shares):
                if share:
                    worker.todo.put((share, done))
                    count += 1
            under_way.append((last, done, count))
        elif under_way:
            through, done, count = under_way.pop(0)
            for _ in range(count):
                done.acquire()
            db.execute("DELETE FROM plain WHERE seq <= ?", (through,))
        else:
            time.sleep(PAUSE)


if FLIGHT == 1:
    alone()
else:
    together()
