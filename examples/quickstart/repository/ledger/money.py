"""Amounts in cents, so that adding them up loses nothing."""

from functools import total_ordering


@total_ordering
class Money:
    """An amount of one currency."""

    def __init__(self, cents):
        self.cents = int(cents)

    @classmethod
    def parse(cls, text):
        """Reads `12`, `12.5` or `-12.50`."""
        sign = -1 if text.startswith("-") else 1
        whole, _, fraction = text.lstrip("+-").partition(".")
        if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(fraction) > 2:
            raise ValueError(f"not an amount: {text!r}")
        return cls(sign * (int(whole) * 100 + int(fraction.ljust(2, "0"))))

    def __add__(self, other):
        return Money(self.cents + other.cents)

    def __truediv__(self, parts):
        """One of so many equal parts, rounded down to a cent."""
        return Money(self.cents // parts)

    def __eq__(self, other):
        return isinstance(other, Money) and self.cents == other.cents

    def __lt__(self, other):
        return self.cents < other.cents

    def __hash__(self):
        return hash(self.cents)

    def __str__(self):
        sign = "-" if self.cents < 0 else ""
        return f"{sign}{abs(self.cents) // 100}.{abs(self.cents) % 100:02}"

    def __repr__(self):
        return f"Money({self.cents})"
