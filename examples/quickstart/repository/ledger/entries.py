"""Lines of a ledger."""

from dataclasses import dataclass
from datetime import date

from ledger.money import Money


@dataclass(frozen=True)
class Entry:
    """Something that was paid for."""

    day: date
    category: str
    amount: Money


def parse(text):
    """The entries of a text; empty lines and those that begin with `#` are skipped."""
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) != 3:
            raise ValueError(f"line {number}: expected a day, a category and an amount")
        day, category, amount = fields
        try:
            entries.append(Entry(date.fromisoformat(day), category, Money.parse(amount)))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return entries
