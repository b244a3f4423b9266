"""An HTTP server on loopback over a folder, with ranges, ETags, a log of requests, and faults to switch on per path.

    with Server(folder) as http:
        http.url("gfs/f000")                  # "http://127.0.0.1:PORT/gfs/f000"
        http.fault("gfs/f000", "404")         # until http.heal()
        http.requests                         # [Request(method, path, range, status), ...]

| fault | what a GET of that path gives |
|---|---|
| 404, 403, 500, 503, ... | that status |
| reset | the connection is closed before an answer |
| cut | the right headers, then half of the bytes, then the connection is closed |
| stall | the right headers, then half of the bytes, then nothing for 30 s |
| slow | the right bytes after a second |
| whole | status 200 and the whole object, whatever the range |
| shifted | a well-formed answer that holds the bytes one further on |
| short | a well-formed answer that holds half of the bytes asked for |
| etag | the right bytes under another ETag; a conditional request fails with 412 |
| grown | the right bytes, but the object is 1000 bytes longer, under another ETag |
| garbage | bytes that are no GRIB, of the right number |
| page | status 200 and a page of HTML |
| moved | a redirect to a page of HTML |
| hang | nothing for 30 s |
| bytes | `fault(path, "bytes", body)`: the object holds other bytes, under the same ETag |

`fault(path, kind, times=2)` lasts for so many requests.
"""

import collections
import hashlib
import http.server
import pathlib
import re
import threading
import time
import urllib.parse

Request = collections.namedtuple("Request", "method path range status")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the last packet of an answer waits for an acknowledgement

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        home = self.server.home
        path = urllib.parse.unquote(self.path.partition("?")[0]).lstrip("/")
        kind, other = home.fault_of(path)
        asked = self.headers.get("Range")

        def send(status, body=b"", headers=(), cut=None):
            home.requests.append(Request(self.command, path, asked, status))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body if cut is None else body[:cut])
            if kind == "stall":
                home.stopping.wait(30)
            if cut is not None:
                self.close_connection = True

        if home.latency:
            time.sleep(home.latency)
        if kind == "hang":
            home.requests.append(Request(self.command, path, asked, 0))
            home.stopping.wait(30)
            self.close_connection = True
            return
        if kind == "reset":
            home.requests.append(Request(self.command, path, asked, 0))
            self.close_connection = True
            return
        if kind == "slow":
            time.sleep(1)
        if kind == "moved":
            home.fault("login", "page")
            send(302, b"", [("Location", home.url("login"))])
            return
        if kind and kind.isdecimal():
            send(int(kind), b"<html>no</html>", [("Content-Type", "text/html")])
            return
        if kind == "page":
            send(200, b"<html>please log in</html>", [("Content-Type", "text/html")])
            return
        file = home.folder / path
        if not file.is_file() or ".." in path:
            send(404, b"not found")
            return
        body, etag = home.object(file)
        if kind == "bytes":
            body = other
        elif kind == "garbage":
            body = bytes(i * 37 % 251 for i in range(len(body)))
        elif kind == "grown":
            body = body + b"\0" * 1000
        if kind in ("etag", "grown"):
            etag = '"changed"'
        headers = [("ETag", etag), ("Accept-Ranges", "bytes"), ("Last-Modified", "Sun, 22 Nov 2026 04:00:00 GMT")]
        wanted = self.headers.get("If-Match")
        if wanted and wanted != etag and wanted != "*":
            send(412, b"", headers)
            return
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
        if not found or kind == "whole":
            send(200, body, headers, cut=len(body) // 2 if kind in ("cut", "stall") else None)
            return
        first, last = found.groups()
        if first == "":
            start, end = max(0, len(body) - int(last)), len(body)
        else:
            start, end = int(first), min(len(body), int(last) + 1 if last else len(body))
        if start >= len(body):
            send(416, b"", headers + [("Content-Range", f"bytes */{len(body)}")])
            return
        if kind == "short":
            end = start + (end - start) // 2
        if kind == "shifted":
            start, end = start + 1, end + 1
        part = body[start:end]
        headers.append(("Content-Range", f"bytes {start}-{end - 1}/{len(body)}"))
        send(206, part, headers, cut=len(part) // 2 if kind in ("cut", "stall") else None)


class Listener(http.server.ThreadingHTTPServer):
    request_queue_size = 256  # with the default of 5, connections that come together are dropped and tried again a second later


class Server:
    """Serves `folder` on a free port of 127.0.0.1 until the `with` block ends."""

    def __init__(self, folder, latency=0.0):
        self.folder, self.latency = pathlib.Path(folder), latency  # seconds before each answer
        self.faults, self.objects, self.requests, self.stopping = {}, {}, [], threading.Event()
        self.lock = threading.Lock()

    def __enter__(self):
        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.home = True, self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def object(self, file):
        """Bytes and ETag of a file, read once."""
        if file not in self.objects:
            body = file.read_bytes()
            self.objects[file] = body, '"' + hashlib.md5(body).hexdigest() + '"'
        return self.objects[file]

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_address[1]}/{path}"

    def fault(self, path, kind, body=None, times=None):
        self.faults[path] = [kind, body, times]

    def fault_of(self, path):
        """Kind and body of the fault of the next request of a path; (None, None) if there is none."""
        with self.lock:
            kind, body, times = self.faults.get(path, (None, None, None))
            if times is not None:
                if times == 1:
                    del self.faults[path]
                else:
                    self.faults[path][2] = times - 1
            return kind, body

    def heal(self):
        self.faults.clear()

    def forget(self):
        self.requests.clear()

    def of(self, path):
        """Requests of one path."""
        return [request for request in self.requests if request.path == path]
