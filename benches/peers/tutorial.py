"""An outbox loop as tutorials have it: look every half second, one call and one commit for each event."""

import os
import sqlite3
import ssl
import time
import urllib.request

tls = ssl.create_default_context(cafile=os.environ["PEER_CA"])
db = sqlite3.connect(os.environ["PEER_DATABASE"], timeout=5)

while True:
    rows = db.execute("SELECT seq, body FROM plain ORDER BY seq LIMIT 1000").fetchall()
    for seq, body in rows:
        request = urllib.request.Request(
            os.environ["PEER_URL"],
            data=body.encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": str(seq)},
            method="POST",
        )
        with urllib.request.urlopen(request, context=tls) as answer:
            answer.read()
        db.execute("DELETE FROM plain WHERE seq = ?", (seq,))
        db.commit()
    if not rows:
        time.sleep(0.5)
