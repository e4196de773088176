"""The case of the issue and others with tuples of one element; longer and empty ones stay as they are."""
from sphinx.pycode import ast

SINGLE = ["(1,)", "('a',)", "((1,),)", "[(1,), (2,)]", "f((x,))"]
OTHERS = ["()", "(1, 2)", "(1, 2, 3)"]


def unparsed(source):
    return ast.unparse(ast.parse(source).body[0].value, source)


if any(unparsed(source) != source for source in OTHERS):
    print("Other issues")
else:
    wrong = [source for source in SINGLE if unparsed(source) != source]
    if not wrong:
        print("Issue resolved")
    else:
        print("Issue reproduced" if all(unparsed(source) == source.replace(",)", ")") for source in wrong) else "Other issues")
