"""Constants inside of larger expressions."""
from _pytest.mark.expression import Expression

CASES = [
    ("not False", {"False"}, False),
    ("not False", set(), True),
    ("True and name", {"True", "name"}, True),
    ("True and name", {"name"}, False),
    ("name or None", {"None"}, True),
    ("name or None", set(), False),
    ("(True or False) and not None", {"False"}, True),
    ("(True or False) and not None", {"False", "None"}, False),
]

said = set()
for text, known, wanted in CASES:
    try:
        value = Expression.compile(text).evaluate(known.__contains__)
    except ValueError:
        said.add("Issue reproduced")
        continue
    said.add("Issue resolved" if bool(value) is wanted else "Other issues")
print(said.pop() if len(said) == 1 else "Other issues")
