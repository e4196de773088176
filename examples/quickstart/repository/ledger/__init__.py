"""Adds up what was spent."""

from ledger.entries import Entry, parse
from ledger.money import Money
from ledger.summary import by_category, by_month, largest, median

__all__ = ["Entry", "Money", "by_category", "by_month", "largest", "median", "parse"]
