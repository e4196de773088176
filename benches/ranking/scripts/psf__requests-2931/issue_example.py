"""The request of the issue, prepared but not sent: its body must be the bytes that were given."""
import requests

DATA = u"ööö".encode("utf-8")

try:
    body = requests.Request("PUT", "http://httpbin.org/put", data=DATA).prepare().body
except UnicodeDecodeError:
    print("Issue reproduced")
else:
    print("Issue resolved" if isinstance(body, bytes) and body == DATA else "Other issues")
