#!/usr/bin/python3
"""The other side of HTTP gateways, for contract_test.c.

    peers.py PORT

Prints "port N", then one line for each request but those for /now. A line on
standard input is the answer to the next request for /now; without one it is an
empty list. What a path does is said below.
"""
import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
answers = queue.Queue()
seen = {}


def say(text):
    with lock:
        print(text, flush=True)


def times(what):
    with lock:
        seen[what] = seen.get(what, 0) + 1
        return seen[what]


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def now(self):
        try:
            self.answer(200, answers.get_nowait())
        except queue.Empty:
            self.answer(200, "[]")

    def handle_one(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size).decode()
        path = self.path.split("?")[0]
        if path == "/now":
            self.now()
            return
        names = ["Content-Type", "Authorization", "X-A"]
        say(" ".join([self.command, self.path] +
                     ["%s=%s" % (n, self.headers[n]) for n in names
                      if n in self.headers] + ([body] if body else [])))
        if path == "/hang":
            time.sleep(3600)
        if path == "/large":
            self.answer(200, "x" * 1000000)
        elif path.startswith("/status/"):
            self.answer(int(path[8:]), "no")
        elif path == "/busy" and times("busy") == 1:
            self.answer(503, "busy")
        elif path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/other")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.answer(200, '"answer of %s"' % path)

    do_GET = do_POST = do_PUT = handle_one


def listen():
    for line in sys.stdin:
        answers.put(line.rstrip("\n"))


def main():
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Http)
    server.daemon_threads = True
    threading.Thread(target=listen, daemon=True).start()
    say("port %d" % server.server_address[1])
    server.serve_forever()


main()
