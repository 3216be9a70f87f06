#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An API server that knows one AcceleratorNode: list, watch, status by server-side apply, Events. Everything it is
told goes to FOLDER (status.json, events.jsonl, requests.log); the object is read from FOLDER/node.json, whose changes
are watch events. usage: fakeapi.py FOLDER PORT"""
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

folder, port = sys.argv[1], int(sys.argv[2])
lock = threading.Lock()
version = int(time.time())


def node():
    try:
        with open(f"{folder}/node.json") as f:
            n = json.load(f)
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    n["metadata"]["resourceVersion"] = str(version + int(os.stat(f"{folder}/node.json").st_mtime_ns % 10**9))
    return n


def note(name, text):
    with lock, open(f"{folder}/{name}", "a") as f:
        f.write(text + "\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, reason):
        self.answer(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status,
                             "message": reason})

    def chunk(self, obj):
        data = (json.dumps(obj) + "\n").encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_GET(self):
        url = urlparse(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        note("requests.log", f"GET {self.path}")
        if url.path != "/apis/farrier.dev/v1alpha1/acceleratornodes" or not query.get("fieldSelector", "").startswith("metadata.name="):
            return self.refuse(403, "Forbidden")  # nothing else may be asked for
        name = query["fieldSelector"].split("=", 1)[1]
        n = node()
        mine = [n] if n and n["metadata"]["name"] == name else []
        if query.get("watch") not in ("true", "1"):
            return self.answer(200, {"apiVersion": "farrier.dev/v1alpha1", "kind": "AcceleratorNodeList",
                                     "metadata": {"resourceVersion": str(version)}, "items": mine})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        last = json.dumps(mine[0]["spec"]) if mine else None
        end = time.time() + 300
        try:
            while time.time() < end:
                time.sleep(0.1)
                n = node()
                text = json.dumps(n["spec"]) if n else None
                if n and text != last:
                    self.chunk({"type": "MODIFIED" if last else "ADDED", "object": n})
                elif not n and last:
                    self.chunk({"type": "DELETED", "object": {"apiVersion": "farrier.dev/v1alpha1", "kind": "AcceleratorNode",
                                                              "metadata": {"name": name, "resourceVersion": str(version)}}})
                last = text
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")

    def do_PATCH(self):
        body = self.body()
        note("requests.log", f"PATCH {self.path}")
        n = node()
        if not n or urlparse(self.path).path != f"/apis/farrier.dev/v1alpha1/acceleratornodes/{n['metadata']['name']}/status":
            return self.refuse(404, "NotFound")
        with open(f"{folder}/status.tmp", "w") as f:
            json.dump(body["status"], f)
        os.rename(f"{folder}/status.tmp", f"{folder}/status.json")
        self.answer(200, dict(n, status=body["status"]))

    def do_POST(self):
        body = self.body()
        note("requests.log", f"POST {self.path}")
        if not self.path.endswith("/events") and "/events?" not in self.path:
            return self.refuse(403, "Forbidden")
        note("events.jsonl", json.dumps(body))
        self.answer(201, body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


Server(("127.0.0.1", port), Handler).serve_forever()
