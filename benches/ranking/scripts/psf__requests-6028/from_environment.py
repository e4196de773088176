"""The proxy's address comes from the environment, and its password has a quoted sign."""
import base64
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import requests

WANTED = "Basic " + base64.b64encode(b"user:p@ss").decode()


class Proxy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.headers.get("Proxy-Authorization") == WANTED else 407)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
    os.environ.pop(name, None)
os.environ["http_proxy"] = "http://user:p%40ss@127.0.0.1:{}".format(server.server_port)
status = requests.get("http://example.org/", timeout=5).status_code
print({200: "Issue resolved", 407: "Issue reproduced"}.get(status, "Other issues"))
server.shutdown()
