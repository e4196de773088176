"""A payload with every value of a byte, which is text in no encoding: POST and PUT must carry it as it is."""
import requests

DATA = bytes(bytearray(range(256)))

said = set()
for method in ("POST", "PUT", "PATCH"):
    try:
        request = requests.Request(method, "http://localhost/", data=DATA).prepare()
    except UnicodeDecodeError:
        said.add("Issue reproduced")
        continue
    right = request.body == DATA and request.headers["Content-Length"] == "256"
    said.add("Issue resolved" if right else "Other issues")
print(said.pop() if len(said) == 1 else "Other issues")
