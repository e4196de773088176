"""Prints what a ledger amounts to."""

import sys

from ledger.entries import parse
from ledger.summary import by_category, by_month, median, total


def report(entries):
    """The lines of the report."""
    lines = [f"total    {total(entries)}", f"median   {median(entries)}", ""]
    lines += [f"{month:<12} {amount}" for month, amount in by_month(entries)]
    lines.append("")
    lines += [f"{category:<12} {amount}" for category, amount in by_category(entries)]
    return "\n".join(lines)


def main(arguments):
    if len(arguments) != 1:
        print("usage: python3 -m ledger FILE", file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        print(report(parse(file.read())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
