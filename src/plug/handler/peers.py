#!/usr/bin/python3
"""The other side of handlers, for contract_test.c: an HTTP server that is also
Telegram's Bot API, and a mail server.

    peers.py http [CERT KEY]
    peers.py smtp [CERT KEY [starttls|tls]]

Prints "port N", then one line for each message that arrived. How it behaves is
said in the message: by path, chat or recipient.
"""
import base64
import hashlib
import hmac
import json
import socket
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "123:goodtoken"
USER, PASSWORD = "hub@example.com", "hunter2-secret"
lock = threading.Lock()
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

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def telegram(self, method, body):
        if not self.path.startswith("/bot%s/" % TOKEN):
            self.answer(401, json.dumps({"ok": False, "description":
                        "Unauthorized: " + self.path}))
        elif method == "getMe":
            self.answer(200, '{"ok": true, "result": {"id": 1}}')
        else:
            self.message(json.loads(body))

    def message(self, m):
        chat = m["chat_id"]
        if chat == "-404":
            self.answer(400, json.dumps({"ok": False, "description":
                        "Bad Request: chat not found " + TOKEN}))
        elif chat == "-429" and times("chat") == 1:
            self.answer(429, '{"ok": false, "description": "Too Many '
                        'Requests", "parameters": {"retry_after": 1}}')
        elif chat == "-500":
            self.answer(502, "<html>")
        elif chat == "-1":
            time.sleep(3600)
        else:
            say("telegram %s %s %s" % (chat, m.get("parse_mode", "-"),
                                       m["text"]))
            self.answer(200, '{"ok": true, "result": {}}')

    def handle_one(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size).decode()
        path = self.path.split("?")[0]
        if path.startswith("/bot"):
            self.telegram(path.rsplit("/", 1)[1], body)
            return
        if path == "/hang":
            time.sleep(3600)
        if path == "/busy" and times("busy") == 1:
            self.answer(503, "busy", Retry_After="0")
            return
        if path == "/down":
            self.answer(500, "down")
            return
        if path == "/cut":
            self.connection.close()
            return
        if path.startswith("/echo/"):
            self.answer(int(path[6:]), "no: %s %s %s" % (
                self.path, self.headers.get("Authorization"), body))
            return
        if path == "/moved":
            self.answer(302, "", Location="/here")
            return
        names = ["Content-Type", "Authorization", "X-A", "X-B"]
        say(" ".join([self.command, self.path] +
                     ["%s=%s" % (n, self.headers[n]) for n in names
                      if n in self.headers] + ([body] if body else [])))
        self.answer(200, "fine")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one
    do_PATCH = do_OPTIONS = handle_one


class Mail:
    """One connection of a mail client."""

    def __init__(self, sock, context, mode):
        self.sock, self.context, self.mode = sock, context, mode
        self.heard = []
        if mode == "tls":
            self.sock = context.wrap_socket(sock, server_side=True)
            self.heard.append("TLS")
        self.secure = mode == "tls"
        self.user = None
        self.file = self.sock.makefile("rb")

    def send(self, line):
        self.sock.sendall(line.encode() + b"\r\n")

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        return line.decode().rstrip("\r\n")

    def auth(self, words):
        if words[0].upper() == "PLAIN":
            text = words[1] if len(words) > 1 else self.ask("334 ")
            _, user, password = base64.b64decode(text).decode().split("\0")
            good = (user, password) == (USER, PASSWORD)
        else:
            nonce = "<1.2@peers>"
            text = self.ask("334 " + base64.b64encode(nonce.encode()).decode())
            user, digest = base64.b64decode(text).decode().split(" ")
            password = "?"
            good = digest == hmac.new(PASSWORD.encode(), nonce.encode(),
                                      hashlib.md5).hexdigest()
        if not good:
            self.send("535 5.7.8 not %s with %s (%s)" % (user, password, text))
            return
        self.heard.append("AUTH-" + words[0].upper())
        self.user = user
        self.send("235 welcome")

    def ask(self, line):
        self.send(line)
        return self.read()

    def extensions(self):
        lines = ["peers.example"]
        if self.mode == "starttls" and not self.secure:
            lines.append("STARTTLS")
        lines.append("AUTH PLAIN CRAM-MD5")
        for i, line in enumerate(lines):
            self.send("250%s%s" % (" " if i == len(lines) - 1 else "-", line))

    def recipient(self, address):
        name = address.strip("<>").split("@")[0]
        if name == "hang":
            time.sleep(3600)
        elif name == "never" or (name == "secret"):
            self.send("550 no mailbox here, says %s" % PASSWORD)
        elif name == "busy" and times("busy") == 1:
            self.send("451 try later")
        elif name == "down":
            self.send("451 down")
        else:
            self.heard.append("TO " + address)
            self.send("250 ok")

    def data(self):
        self.send("354 go on")
        lines = []
        while True:
            line = self.read()
            if line == ".":
                break
            lines.append(line[1:] if line.startswith(".") else line)
        say(" ".join(self.heard) + " | " + "|".join(lines))
        self.send("250 queued")

    def talk(self):
        self.send("220 peers.example")
        while True:
            line = self.read()
            words = line.split(" ")
            word = words[0].upper()
            if word in ("EHLO", "HELO"):
                self.extensions()
            elif word == "STARTTLS":
                self.send("220 go")
                self.file.close()
                self.sock = self.context.wrap_socket(self.sock,
                                                     server_side=True)
                self.file = self.sock.makefile("rb")
                self.secure = True
                self.heard.append("STARTTLS")
            elif word == "AUTH":
                self.auth(words[1:])
            elif word == "MAIL":
                self.heard.append("FROM " + words[1].split(":", 1)[1])
                self.send("250 ok")
            elif word == "RCPT":
                self.recipient(line.split(":", 1)[1].split(" ")[0])
            elif word == "DATA":
                self.data()
            elif word == "QUIT":
                time.sleep(3600)  # no goodbye: nobody may wait for it
            else:
                self.send("500 what?")


def mail_client(sock, context, mode):
    try:
        Mail(sock, context, mode).talk()
    except (EOFError, OSError):
        pass
    sock.close()


def main():
    kind, files = sys.argv[1], sys.argv[2:4]
    mode = sys.argv[4] if len(sys.argv) > 4 else "none"
    context = None
    if len(files) == 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
    if kind == "http":
        server = ThreadingHTTPServer(("127.0.0.1", 0), Http)
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket,
                                                server_side=True)
        say("port %d" % server.server_address[1])
        server.serve_forever()
    listener = socket.create_server(("127.0.0.1", 0))
    say("port %d" % listener.getsockname()[1])
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=mail_client, args=(sock, context, mode),
                         daemon=True).start()


main()
