"""What schemathesis cannot guess: which reports, jobs and feeds there are."""

import zlib

import schemathesis

KNOWN = {
    "report_id": ["1", "2-report-2", "3"],
    "job_id": [1, 2, 3, 4],
    "feed": ["1", "1-report-2.csv"],
    "id": [1, 2, 3],
}


def filled(values):
    """Most of the time something that is there; chosen by the value, so that a run can be repeated."""
    for name, known in KNOWN.items():
        if values and name in values:
            chosen = zlib.crc32(repr(values[name]).encode()) % (len(known) + 2)
            if chosen < len(known):
                values[name] = known[chosen]
    return values


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    return filled(path_parameters)


@schemathesis.hook
def map_query(context, query):
    query = filled(query)
    # Nobody waits here.
    if query and "_wait" in query and query["_wait"] not in (None, "", "x"):
        try:
            query["_wait"] = min(float(query["_wait"]), 0.1)
        except (TypeError, ValueError):
            pass
    return query
