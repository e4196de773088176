"""The expression of the issue, and those with the other constants: they are names like any other, for the matcher to decide."""
from _pytest.mark.expression import Expression

said = set()
for name in ("False", "True", "None"):
    try:
        expression = Expression.compile(name)
        values = [expression.evaluate(lambda asked: asked == name), expression.evaluate(lambda asked: False)]
    except ValueError:
        said.add("Issue reproduced")
        continue
    said.add("Issue resolved" if values == [True, False] else "Other issues")
print(said.pop() if len(said) == 1 else "Other issues")
