"""The request of the issue, sent to a server on this machine, which must receive the bytes that were given."""
import threading

try:
    from http.server import BaseHTTPRequestHandler, HTTPServer
except ImportError:
    from BaseHTTPServer import BaseHTTPRequestHandler, HTTPServer

import requests

DATA = u"ööö".encode("utf-8")
received = []


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self):
        received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
thread = threading.Thread(target=server.serve_forever)
thread.daemon = True
thread.start()
try:
    session = requests.Session()
    session.trust_env = False
    answer = session.put("http://127.0.0.1:%d/put" % server.server_port, data=DATA, timeout=5)
except UnicodeDecodeError:
    print("Issue reproduced")
else:
    print("Issue resolved" if answer.status_code == 200 and received == [DATA] else "Other issues")
server.shutdown()
