"""An HTTP server on this machine that fails as servers and networks do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server:
    """Serves `content` by path; `faults` are answered first, one a request, in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.content: dict[str, bytes] = {}
        self.faults: dict[str, list[Answer]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.requests: list[tuple[str, str | None]] = []
        """Path and range of every GET."""
        self.tokens: list[tuple[str, str | None]] = []
        """Path and Authorization of every request."""

    def put(self, path: str, content: bytes, *faults: Answer) -> str:
        """The address at which `content` is served, after the faults."""
        self.content[path] = content
        self.faults[path] = list(faults)
        return self.url + path


def whole(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """A server that knows ranges."""
    wanted = handler.headers.get("Range")
    if wanted:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            status(416)(handler, content)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        content = content[start:]
    else:
        handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def cut(after: int) -> Answer:
    """The connection ends after so many bytes."""

    def answer(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:after])

    return answer


def trickle(pause: float, count: int) -> Answer:
    """A byte now and then."""

    def answer(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for byte in content[:count]:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(pause)

    return answer


def without_ranges(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """The whole file, whatever part was asked for."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def without_length(content: bytes) -> Answer:
    """Other bytes, as many as there are until the connection ends: nothing says how many."""

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def wrong(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """Other bytes, as many."""
    whole(handler, bytes(b ^ 1 for b in content))


def longer(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """More than there should be."""
    whole(handler, content + b"more")


def status(code: int, **headers: str) -> Answer:
    """An answer without a file."""

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def stall(seconds: float) -> Answer:
    """Nothing for a while, then the connection ends."""

    def answer(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:10])
        handler.wfile.flush()
        time.sleep(seconds)

    return answer


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a thread of this process."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append((self.path, self.headers.get("Range")))
            server.tokens.append((self.path, self.headers.get("Authorization")))
            faults = server.faults.get(self.path, [])
            content = server.content.get(self.path)
            answer = faults.pop(0) if faults else status(404) if content is None else whole
            try:
                answer(self, content or b"")
            except OSError:
                return

        def do_HEAD(self) -> None:
            content = server.content.get(self.path)
            server.tokens.append((self.path, self.headers.get("Authorization")))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()

        def end_headers(self) -> None:
            for name, value in server.headers.get(self.path, {}).items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
