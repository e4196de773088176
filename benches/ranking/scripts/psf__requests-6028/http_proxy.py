"""A proxy on this machine that wants a name and a password, which stand in its address: the answer must be 200, not 407."""
import base64
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import requests

WANTED = "Basic " + base64.b64encode(b"user:pass").decode()


class Proxy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.headers.get("Proxy-Authorization") == WANTED else 407)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
session = requests.Session()
session.trust_env = False
proxies = {"http": "http://user:pass@127.0.0.1:%d" % server.server_port}
status = session.get("http://example.org/", proxies=proxies, timeout=5).status_code
print({200: "Issue resolved", 407: "Issue reproduced"}.get(status, "Other issues"))
server.shutdown()
