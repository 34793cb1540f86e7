"""Whether two CSV files hold the same table, whatever the order of rows: numbers by value, times by moment,
NULL (empty, or NA in the first) as NULL. Prints how many rows there are."""

import csv
import datetime
import decimal
import sys


def plain(text):
    if text in ("", "NA"):
        return ""
    try:
        return f"{decimal.Decimal(text).normalize():f}"
    except decimal.InvalidOperation:
        pass
    if len(text) >= 19 and text[4] == "-" and text[10] in " T":
        moment = datetime.datetime.fromisoformat(text.replace("+00", "+00:00").replace("Z", "+00:00"))
        return moment.replace(tzinfo=None).isoformat()
    return text


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, sorted([plain(text) for text in row] for row in rows)


first, second = rows(sys.argv[1]), rows(sys.argv[2])
assert first[0] == second[0], (first[0], second[0])
assert len(first[1]) == len(second[1]), (len(first[1]), len(second[1]))
for one, other in zip(first[1], second[1]):
    assert one == other, (one, other)
print(len(first[1]))
