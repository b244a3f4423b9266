"""A bucket of S3 in memory, on loopback: GET (with ranges), PUT (with conditions), DELETE and listings, and a record of what was asked.

    with S3() as s3:
        gribfs("copy", table, "s3://bucket/a.zarr", "--dest-endpoint-url", s3.url, env=s3.env)
        s3.objects["a.zarr/.zgroup"]          # bytes by key; there is one bucket, of any name
        s3.requests                           # [(method, key), ...]

`before_put` is called with each key before it is stored; what it raises makes the answer a 503. `before_get` is called before one is read.
"""

import hashlib
import http.server
import os
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape

PAGE = 100  # keys in one page of a listing


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def key(self):
        path, _, query = self.path.partition("?")
        home, key = self.server.home, urllib.parse.unquote(path).lstrip("/").partition("/")[2]
        home.requests.append((self.command, key))
        home.signed.append("Authorization" in self.headers)
        return key, urllib.parse.parse_qs(query, keep_blank_values=True)

    def do_PUT(self):
        key, _ = self.key()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        home = self.server.home
        try:
            if home.before_put:
                home.before_put(key)
        except Exception:
            self.send(503)
            return
        with home.lock:
            there, only = home.objects.get(key), self.headers.get("If-Match")
            if self.headers.get("If-None-Match") == "*" and there is not None or only and (there is None or etag(there) != only):
                self.send(412)
                return
            home.objects[key] = body
        self.send(200, ETag=etag(body))

    def do_DELETE(self):
        key, _ = self.key()
        self.server.home.objects.pop(key, None)
        self.send(204)

    def do_GET(self):
        key, query = self.key()
        home = self.server.home
        if home.before_get:
            home.before_get(key)
        if "list-type" in query:
            self.list(query)
            return
        if key not in home.objects:
            self.send(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        body = home.objects[key]
        about = {"ETag": etag(body), "Last_Modified": "Sun, 22 Nov 2026 04:00:00 GMT", "Accept_Ranges": "bytes"}
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not found:
            self.send(200, body, **about)
            return
        start, end = int(found[1]), min(int(found[2] or len(body)), len(body) - 1)
        self.send(206, body[start : end + 1], Content_Range=f"bytes {start}-{end}/{len(body)}", **about)

    do_HEAD = do_GET

    def list(self, query):
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        keys = sorted(key for key in list(self.server.home.objects) if key.startswith(prefix) and key > after)
        page, rest = keys[:PAGE], keys[PAGE:]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-22T04:00:00.000Z</LastModified>"
            f"<ETag>{escape(etag(self.server.home.objects[key]))}</ETag><Size>{len(self.server.home.objects[key])}</Size></Contents>"
            for key in page)
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else "<IsTruncated>false</IsTruncated>"
        self.send(200, f"<ListBucketResult><Name>b</Name><KeyCount>{len(page)}</KeyCount>{more}{entries}</ListBucketResult>".encode())


def etag(body):
    return '"' + hashlib.md5(body).hexdigest() + '"'


class Listener(http.server.ThreadingHTTPServer):
    request_queue_size = 256


class S3:
    def __init__(self):
        self.objects, self.requests, self.signed, self.before_put, self.before_get = {}, [], [], None, None
        self.lock = threading.Lock()

    def __enter__(self):
        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.home = True, self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.env = os.environ | {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_REGION": "us-east-1"}
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
