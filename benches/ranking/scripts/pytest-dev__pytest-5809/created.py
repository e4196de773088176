"""What is sent for a paste says that it is text."""
import urllib.request
from urllib.parse import parse_qs

from _pytest.pastebin import create_new_paste

sent = []


class Response:
    def read(self):
        return b'<a href="/raw/abc">raw</a>'


def urlopen(url, data=None, *more, **named):
    sent.append(parse_qs(data.decode("ascii")))
    return Response()


urllib.request.urlopen = urlopen
create_new_paste(b"full-paste-contents")
lexers = [fields.get("lexer") for fields in sent]
whole = [fields.get("code") for fields in sent] == [["full-paste-contents"]]
if lexers == [["text"]] and whole:
    print("Issue resolved")
elif lexers == [["python3"]] and whole:
    print("Issue reproduced")
else:
    print("Other issues")
