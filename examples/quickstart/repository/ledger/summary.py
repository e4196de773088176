"""Sums and other figures over entries."""

from ledger.money import Money


def total(entries):
    """Everything together."""
    result = Money(0)
    for entry in entries:
        result = result + entry.amount
    return result


def by_category(entries):
    """The sum of each category, the largest first."""
    sums = {}
    for entry in entries:
        sums[entry.category] = sums.get(entry.category, Money(0)) + entry.amount
    return sorted(sums.items(), key=lambda item: (-item[1].cents, item[0]))


def by_month(entries):
    """The sum of each month, as `2024-12`, in the order of time."""
    sums = {}
    for entry in entries:
        month = f"{entry.day.year}-{entry.day.month:02}"
        sums[month] = sums.get(month, Money(0)) + entry.amount
    return sorted(sums.items())


def largest(entries, count=3):
    """The entries with the largest amounts, the largest first; of equal ones the earlier."""
    return sorted(entries, key=lambda entry: (-entry.amount.cents, entry.day))[:count]


def median(entries):
    """The amount in the middle; of an even number of entries the mean of the two in the middle, rounded down to a cent."""
    amounts = sorted(entry.amount for entry in entries)
    if not amounts:
        raise ValueError("the median of nothing")
    middle = len(amounts) // 2
    return amounts[middle]
