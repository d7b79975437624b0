#!/usr/bin/env python3
"""Plays an outside system for the examples: prints every call it receives and answers with JSON.

Plain http on 127.0.0.1, Python's standard library only. Not a part of the agent, and not for real data.
"""

import argparse
import base64
import json
import secrets
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Target(BaseHTTPRequestHandler):
    """One call: look at the token, perhaps fail, else take the record."""

    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server = self.server
        if server.client and urllib.parse.urlsplit(self.path).path == "/token":
            return self.hand_out_token(body)
        if server.client and self.headers.get("Authorization") not in server.tokens:
            return self.answer(401, {"error": "no valid token"}, "REFUSED: no valid token")
        with server.lock:
            server.calls += 1
            failing = server.fail_every and server.calls % server.fail_every == 0
            if failing:
                note = "FAILED on purpose"
            else:
                key = (self.path, self.headers.get("Idempotency-Key"))  # each path is a system of its own
                note = "again" if key in server.keys else "new"
                server.keys.add(key)
        if failing:
            return self.answer(503, {"error": "out to lunch"}, note, body)
        return self.answer(200, {"status": "ok"}, note, body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET = handle_any

    def hand_out_token(self, body):
        form = urllib.parse.parse_qs(body.decode())
        client = ":".join(form.get(name, [""])[0] for name in ("client_id", "client_secret"))
        scheme, _, coded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            client = urllib.parse.unquote(base64.b64decode(coded).decode())
        if client != self.server.client:
            return self.answer(401, {"error": "invalid_client"}, "REFUSED: wrong client or secret")
        token = secrets.token_hex(16)
        self.server.tokens.add(f"Bearer {token}")
        return self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}, "token handed out")

    def answer(self, status, value, note, body=b""):
        names = ("Idempotency-Key", "Idem-Key", "Sync-Op")
        headers = [f"{name}: {self.headers[name]}" for name in names if name in self.headers]
        parts = [f"{self.command} {self.path}", *headers, body.decode("utf-8", "replace"), f"-> {status} ({note})"]
        # In one piece with its line end: several threads write.
        print("  ".join(part for part in parts if part) + "\n", end="", flush=True)
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Quiet: `answer` prints the line."""


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--fail-every", type=int, default=0, metavar="N", help="answer every Nth call with 503")
    options.add_argument("--oauth2", metavar="CLIENT:SECRET", help="hand out tokens at /token and ask for one everywhere else")
    options = options.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Target)
    server.daemon_threads = True
    server.client, server.fail_every = options.oauth2, options.fail_every
    server.lock, server.calls, server.keys, server.tokens = threading.Lock(), 0, set(), set()
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
