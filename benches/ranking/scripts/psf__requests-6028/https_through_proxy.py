"""An https address through a proxy, as in the issue: the proxy must be told name and password when it is asked to connect."""
import base64
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import requests

WANTED = "Basic " + base64.b64encode(b"user:pass").decode()
seen = []


class Proxy(BaseHTTPRequestHandler):
    def do_CONNECT(self):
        seen.append(self.headers.get("Proxy-Authorization"))
        self.send_error(407 if seen[-1] != WANTED else 503)

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
session = requests.Session()
session.trust_env = False
try:
    session.get("https://example.org/", proxies={"https": "http://user:pass@127.0.0.1:%d" % server.server_port}, timeout=5)
except requests.exceptions.ProxyError:
    pass  # there is nothing behind this proxy
if seen and set(seen) == {WANTED}:
    print("Issue resolved")
elif seen and set(seen) == {None}:
    print("Issue reproduced")
else:
    print("Other issues")
server.shutdown()
